// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
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

/// In a dry run what would be removed, so that both print the same numbers.
store::GcResult counts(const core::GcReport& report, bool dry_run) {
  if (!dry_run) return report.removed;
  store::GcResult result;
  result.environments = report.plan.environments.size();
  result.builds = report.plan.builds.size();
  result.packages = report.plan.packages.size();
  result.downloads = report.plan.downloads.size();
  result.layers = report.plan.layers.size();
  result.trees = report.plan.trees.size();
  result.objects = report.plan.objects.size();
  result.leftovers = report.plan.leftovers.size();
  return result;
}

Json holds_json(const std::vector<store::GcHold>& holds) {
  Json json = Json::array();
  for (const store::GcHold& hold : holds)
    json.push_back(
        {{"what", printable(hold.what, 4096)}, {"reason", printable(hold.reason, 4096)}, {"fix", hold.fix}});
  return json;
}

Json names_json(const std::vector<Digest>& objects) {
  Json json = Json::array();
  for (const Digest& object : objects) json.push_back(object.hex());
  return json;
}

OrderedJson report_json(const core::GcReport& report, bool dry_run) {
  const store::GcPlan& plan = report.plan;
  const store::GcResult done = counts(report, dry_run);
  Json failures = Json::array();
  for (const store::GcFailure& failure : done.failures)
    failures.push_back({{"what", failure.what}, {"reason", printable(failure.reason, 4096)}});
  return OrderedJson(Json{{"dry_run", dry_run},
                          {"bytes", plan.bytes},
                          {"orphaned_envs", plan.environments},
                          {"orphaned_layers", plan.layers},
                          {"orphaned_objects", names_json(plan.objects)},
                          {"orphaned_packages", plan.packages},
                          {"orphaned_trees", plan.trees},
                          {"removed_builds", done.builds},
                          {"removed_downloads", done.downloads},
                          {"removed_envs", done.environments},
                          {"removed_layers", done.layers},
                          {"removed_leftovers", done.leftovers},
                          {"removed_objects", done.objects},
                          {"removed_packages", done.packages},
                          {"removed_trees", done.trees},
                          {"held", holds_json(plan.holds)},
                          {"failures", std::move(failures)}});
}

std::string describe_counts(const store::GcResult& done) {
  std::vector<std::string> parts;
  const auto add = [&parts](std::size_t count, const char* one, const char* many) {
    if (count > 0) parts.push_back(fmt::format("{} {}", count, count == 1 ? one : many));
  };
  add(done.environments, "environment without a record", "environments without a record");
  add(done.layers, "layer", "layers");
  add(done.trees, "tree", "trees");
  add(done.objects, "object", "objects");
  add(done.packages, "package", "packages");
  add(done.builds, "build record", "build records");
  add(done.downloads, "partial download", "partial downloads");
  add(done.leftovers, "left-over of a crash", "left-overs of crashes");
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string describe(const core::GcReport& report, bool dry_run) {
  const store::GcResult done = counts(report, dry_run);
  const std::string what = describe_counts(done);
  std::string text;
  if (what.empty()) {
    text = dry_run ? "nothing would be freed\n" : "nothing to free\n";
  } else {
    text =
        fmt::format("{} {}: {}\n", dry_run ? "would free" : "freed", format_bytes(report.plan.bytes), what);
  }
  if (dry_run) {
    for (const std::string& env_id : report.plan.environments)
      text += fmt::format("  environment without a record: {}\n", env_id);
  }
  for (const store::GcHold& hold : report.plan.holds)
    text += fmt::format("kept {}{}: {}\n     {}\n", hold.itself ? "" : "what may be needed by ",
                        printable(hold.what), printable(hold.reason, 1000), hold.fix);
  for (const store::GcFailure& failure : done.failures)
    text += fmt::format("FAIL {}: {}\n", failure.what, printable(failure.reason, 1000));
  return text;
}

int status(const core::GcReport& report) {
  if (!report.removed.failures.empty()) return kFailure;
  const bool damage = std::ranges::any_of(report.plan.holds, &store::GcHold::damage);
  return damage ? kBadStore : kSuccess;
}

}  // namespace

int run_gc(const Invocation& invocation) {
  const bool dry_run = invocation.has("dry-run");
  ProgressRenderer progress(progress_style(invocation.json()), wants_colour(Stream::Err));
  core::Engine engine = open_engine(invocation, dry_run ? core::Access::Read : core::Access::Write, progress);
  const bool discard_lost = invocation.has("discard-lost");
  if (discard_lost && !dry_run && !invocation.has("yes") && is_terminal(Stream::In) &&
      is_terminal(Stream::Err) &&
      !confirm("Lose what was written in environments that have no record? [y/N] ")) {
    throw Error(ErrorCode::Conflict, "nothing was freed: you did not agree");
  }
  const core::GcReport report = engine.gc(
      {.mode = dry_run ? core::GcMode::DryRun : core::GcMode::Collect, .discard_lost = discard_lost});
  const int result = status(report);
  progress.finish(result == kSuccess ? ProgressRenderer::Outcome::Success
                                     : ProgressRenderer::Outcome::Failure);
  if (invocation.json()) {
    print_json(report_json(report, dry_run));
  } else {
    write_stdout(describe(report, dry_run));
  }
  return result;
}

}  // namespace karapace::cli
