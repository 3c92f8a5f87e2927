// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <string>
#include <vector>

#include "commands/commands.hpp"
#include "context.hpp"
#include "exit_code.hpp"
#include "karapace/base/text.hpp"
#include "karapace/store/layout.hpp"
#include "karapace/store/no_store.hpp"
#include "output.hpp"
#include "progress_renderer.hpp"
#include "terminal.hpp"

namespace karapace::cli {

namespace {

Json fault_json(const store::IntegrityFault& fault) {
  return {{"fix", fault.fix},
          {"kind", fault.kind},
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
  Json unreadable = Json::array();
  Json not_checked = Json::array();
  for (const store::NotChecked& item : report.unreadable) {
    unreadable.push_back(printable(item.what, 4096));
    not_checked.push_back({{"affects", item.affects},
                           {"fix", item.fix},
                           {"reason", printable(item.reason, 4096)},
                           {"what", printable(item.what, 4096)}});
  }
  return Json{{"checked", report.checked},
              {"passed", report.passed},
              {"failed", report.failed.size()},
              {"failures", std::move(failures)},
              {"layers_checked", report.layers_checked},
              {"metadata_checked", report.metadata_checked},
              {"not_checked", std::move(not_checked)},
              {"objects_checked", report.objects_checked},
              {"trees_checked", report.trees_checked},
              {"unreadable", std::move(unreadable)}};
}

std::string affected_and_fix(const std::vector<std::string>& environments,
                             const std::vector<std::string>& snapshots, const std::string& fix) {
  std::string text;
  for (const std::string& env_id : environments) text += fmt::format("     affects {}\n", printable(env_id));
  for (const std::string& snapshot : snapshots) text += fmt::format("     affects snapshot {}\n", snapshot);
  if (!fix.empty()) text += fmt::format("     fix: {}\n", printable(fix, 1000));
  return text;
}

std::string counted_if_any(std::size_t count, const char* one, const char* many) {
  return count == 0 ? "" : fmt::format("; {} {}", count, count == 1 ? one : many);
}

std::string describe(const store::IntegrityReport& report, bool colour) {
  std::string text;
  for (const store::IntegrityFault& fault : report.failed) {
    text += fmt::format("{} {} {}: {}\n", coloured("FAIL", "31", colour), printable(fault.kind),
                        printable(fault.hash), printable(fault.reason, 1000));
    text += affected_and_fix(fault.affects, fault.snapshots, fault.fix);
  }
  for (const store::NotChecked& item : report.unreadable) {
    text += fmt::format("{} {}: {}\n", coloured("NOT CHECKED", "33", colour), printable(item.what),
                        printable(item.reason, 1000));
    text += affected_and_fix(item.affects, {}, item.fix);
  }
  return text +
         fmt::format(
             "{} of {} passed ({} objects, {} layers, {} trees, {} records){}{}\n", report.passed,
             report.checked, report.objects_checked, report.layers_checked, report.trees_checked,
             report.metadata_checked, counted_if_any(report.failed.size(), "fault", "faults"),
             counted_if_any(report.unreadable.size(), "thing was not checked", "things were not checked"));
}

bool is_no_store_yet(const std::string& path) {
  return !store::StoreLayout::open_existing(path) && store::why_no_store(path) == store::NoStore::NotYet;
}

int status(const store::IntegrityReport& report) {
  if (!report.failed.empty()) return kBadStore;
  return report.unreadable.empty() ? kSuccess : kFailure;
}

}  // namespace

int run_verify_store(const Invocation& invocation) {
  if (!is_store_named(invocation) && is_no_store_yet(store_path(invocation))) {
    if (invocation.json()) {
      print_json(OrderedJson(report_json({})));
    } else {
      write_stdout(fmt::format("there is no store yet at {}\n", printable(store_path(invocation), 4096)));
    }
    return kSuccess;
  }
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
  const int result_status = status(report);
  progress.finish(result_status == kSuccess ? ProgressRenderer::Outcome::Success
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
  return result_status;
}

}  // namespace karapace::cli
