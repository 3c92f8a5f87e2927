// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <string>

#include "commands/commands.hpp"
#include "context.hpp"
#include "exit_code.hpp"
#include "output.hpp"
#include "progress_renderer.hpp"
#include "terminal.hpp"

namespace karapace::cli {

namespace {

Json fault_json(const store::IntegrityFault& fault) {
  return {{"kind", fault.kind},
          {"hash", printable(fault.hash, 4096)},
          {"reason", printable(fault.reason, 4096)},
          {"affects", fault.affects}};
}

OrderedJson report_json(const store::IntegrityReport& report) {
  Json failures = Json::array();
  for (const store::IntegrityFault& fault : report.failed) failures.push_back(fault_json(fault));
  return OrderedJson(Json{{"checked", report.checked},
                          {"passed", report.passed},
                          {"failed", report.failed.size()},
                          {"failures", std::move(failures)},
                          {"layers_checked", report.layers_checked},
                          {"metadata_checked", report.metadata_checked},
                          {"objects_checked", report.objects_checked},
                          {"trees_checked", report.trees_checked}});
}

std::string describe(const store::IntegrityReport& report, bool colour) {
  std::string text;
  for (const store::IntegrityFault& fault : report.failed) {
    text += fmt::format("{} {} {}: {}\n", coloured("FAIL", "31", colour), printable(fault.kind),
                        printable(fault.hash), printable(fault.reason, 1000));
    for (const std::string& env_id : fault.affects)
      text += fmt::format("     affects {}\n", printable(env_id));
  }
  return text + fmt::format("{} of {} passed ({} objects, {} layers, {} trees, {} records)\n", report.passed,
                            report.checked, report.objects_checked, report.layers_checked,
                            report.trees_checked, report.metadata_checked);
}

}  // namespace

int run_verify_store(const Invocation& invocation) {
  ProgressRenderer progress(progress_style(invocation.json()), wants_colour(Stream::Err));
  core::Engine engine = open_engine(invocation, core::Access::Read, progress);
  const store::IntegrityReport report = engine.verify_store();
  progress.finish(report.failed.empty() ? ProgressRenderer::Outcome::Success
                                        : ProgressRenderer::Outcome::Failure);
  if (invocation.json()) {
    print_json(report_json(report));
  } else {
    write_stdout(describe(report, wants_colour(Stream::Out)));
  }
  return report.failed.empty() ? kSuccess : kBadStore;
}

}  // namespace karapace::cli
