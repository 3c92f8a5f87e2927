// SPDX-License-Identifier: Apache-2.0
// Works on the store as it is, without an engine: an engine opens no store of another format.
#include <fmt/format.h>

#include <string>

#include "commands/commands.hpp"
#include "context.hpp"
#include "exit_code.hpp"
#include "karapace/base/cancel.hpp"
#include "karapace/base/error.hpp"
#include "karapace/store/migration.hpp"
#include "output.hpp"
#include "progress_renderer.hpp"
#include "terminal.hpp"

namespace karapace::cli {

namespace {

Json skipped_json(const store::MigrationReport& report) {
  Json json = Json::array();
  for (const store::BadRecord& bad : report.skipped)
    json.push_back({{"file", printable(bad.file)}, {"reason", printable(bad.reason, 1000)}});
  return json;
}

Json report_json(const store::MigrationReport& report) {
  switch (report.status) {
    case store::MigrationStatus::NoStore:
      return {{"status", "no_store"}, {"message", "there is no store yet"}};
    case store::MigrationStatus::Current:
      return {{"status", "current"}, {"format_version", report.found}};
    case store::MigrationStatus::Newer:
      return {{"status", "newer"}, {"found", report.found}, {"supported", store::kFormatVersion}};
    case store::MigrationStatus::Migrated:
      break;
  }
  return {{"status", "migrated"},
          {"from", report.found},
          {"to", store::kFormatVersion},
          {"environments", report.environments},
          {"backup", report.backup},
          {"record_backup", report.record_backup},
          {"skipped", skipped_json(report)},
          {"unnamed", report.unnamed},
          {"interrupted_operations", report.operations}};
}

std::string describe(const store::MigrationReport& report) {
  switch (report.status) {
    case store::MigrationStatus::NoStore:
      return "there is no store yet\n";
    case store::MigrationStatus::Current:
      return fmt::format("the store has format {}: nothing to do\n", report.found);
    case store::MigrationStatus::Newer:
      return fmt::format(
          "the store has format {}, this program knows {}: use the newer karapace that wrote it\n",
          report.found, store::kFormatVersion);
    case store::MigrationStatus::Migrated:
      break;
  }
  std::string text = fmt::format("migrated from format {} to {}: {} environments\nbackup: {}\n", report.found,
                                 store::kFormatVersion, report.environments, report.backup);
  if (!report.record_backup.empty()) text += fmt::format("backup: {}\n", report.record_backup);
  for (const store::BadRecord& bad : report.skipped)
    text += fmt::format("left as it is: store/metadata/{}: {}\n", printable(bad.file),
                        printable(bad.reason, 1000));
  for (const std::string& env_id : report.unnamed)
    text += fmt::format("environment {} has no name any more: another one has the same\n", env_id);
  if (report.environments > 0)
    text += "Their layers are kept but cannot be entered: build their manifests again.\n";
  return text;
}

}  // namespace

int run_migrate(const Invocation& invocation) {
  ProgressRenderer progress(progress_style(invocation.json()), wants_colour(Stream::Err));
  store::MigrationReport report;
  try {
    report = store::migrate_store(store_path(invocation), progress, CancelToken::process());
  } catch (const Error& error) {
    if (!invocation.json()) throw;
    print_json(OrderedJson(Json{{"status", "error"},
                                {"message", printable(error.what(), 4096)},
                                {"error",
                                 {{"code", to_string(error.code())},
                                  {"message", printable(error.what(), 4096)},
                                  {"fix", error.fix()}}}}));
    return exit_code(error.code());
  }
  const bool newer = report.status == store::MigrationStatus::Newer;
  progress.finish(newer ? ProgressRenderer::Outcome::Failure : ProgressRenderer::Outcome::Success);
  if (invocation.json()) {
    print_json(OrderedJson(report_json(report)));
  } else {
    write_stdout(describe(report));
  }
  return newer ? kFailure : kSuccess;
}

}  // namespace karapace::cli
