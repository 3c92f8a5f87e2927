// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <string>
#include <vector>

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
          {"affects", fault.affects},
          {"snapshots", fault.snapshots}};
}

Json repaired_json(const std::vector<store::Repaired>& repaired) {
  Json json = Json::array();
  for (const store::Repaired& item : repaired)
    json.push_back({{"kind", item.kind}, {"hash", item.hash}, {"how", printable(item.how, 4096)}});
  return json;
}

Json report_json(const store::IntegrityReport& report) {
  Json failures = Json::array();
  for (const store::IntegrityFault& fault : report.failed) failures.push_back(fault_json(fault));
  return Json{{"checked", report.checked},
              {"passed", report.passed},
              {"failed", report.failed.size()},
              {"failures", std::move(failures)},
              {"layers_checked", report.layers_checked},
              {"metadata_checked", report.metadata_checked},
              {"objects_checked", report.objects_checked},
              {"trees_checked", report.trees_checked},
              {"unreadable", report.unreadable}};
}

std::string describe(const store::IntegrityReport& report, bool colour) {
  std::string text;
  for (const store::IntegrityFault& fault : report.failed) {
    text += fmt::format("{} {} {}: {}\n", coloured("FAIL", "31", colour), printable(fault.kind),
                        printable(fault.hash), printable(fault.reason, 1000));
    for (const std::string& env_id : fault.affects)
      text += fmt::format("     affects {}\n", printable(env_id));
    for (const std::string& snapshot : fault.snapshots)
      text += fmt::format("     affects snapshot {}\n", snapshot);
  }
  for (const std::string& name : report.unreadable)
    text +=
        fmt::format("not checked, because only its own user namespace may read it, and there is none: {}\n",
                    printable(name));
  // Not everything that is looked at is counted: names, snapshots, the log.
  const std::size_t faults = report.failed.size();
  return text + fmt::format("{} of {} passed ({} objects, {} layers, {} trees, {} records){}\n",
                            report.passed, report.checked, report.objects_checked, report.layers_checked,
                            report.trees_checked, report.metadata_checked,
                            faults == 0 ? "" : fmt::format("; {} fault{}", faults, faults == 1 ? "" : "s"));
}

}  // namespace

int run_verify_store(const Invocation& invocation) {
  ProgressRenderer progress(progress_style(invocation.json()), wants_colour(Stream::Err));
  const bool repair = invocation.has("repair");
  core::Engine engine = open_engine(invocation, repair ? core::Access::Write : core::Access::Read, progress);
  core::RepairReport result;
  if (repair) {
    result = engine.repair_store();
  } else {
    result.left = engine.verify_store();
  }
  const store::IntegrityReport& report = result.left;
  progress.finish(report.failed.empty() ? ProgressRenderer::Outcome::Success
                                        : ProgressRenderer::Outcome::Failure);
  if (invocation.json()) {
    Json json = report_json(report);
    if (repair) json["repaired"] = repaired_json(result.repaired);
    print_json(OrderedJson(json));
  } else {
    std::string text;
    for (const store::Repaired& item : result.repaired)
      text += fmt::format("repaired {} {}: {}\n", item.kind, item.hash, printable(item.how, 1000));
    write_stdout(text + describe(report, wants_colour(Stream::Out)));
  }
  return report.failed.empty() ? kSuccess : kBadStore;
}

}  // namespace karapace::cli
