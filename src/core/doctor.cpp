// SPDX-License-Identifier: Apache-2.0
// doctor: what works, what does not, and which knob to turn.

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "impl.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "karapace/core/engine.hpp"
#include "karapace/runtime/prerequisites.hpp"

namespace karapace::core {
namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;
constexpr std::uint64_t kDiskFail = 100 * kMiB;
constexpr std::uint64_t kDiskWarn = 1024 * kMiB;

std::string_view to_string(runtime::CheckStatus status) {
  switch (status) {
    case runtime::CheckStatus::Pass:
      return "pass";
    case runtime::CheckStatus::Fail:
      return "fail";
    case runtime::CheckStatus::Warn:
      return "warn";
    case runtime::CheckStatus::Info:
      return "info";
  }
  KARAPACE_ASSERT(false);
}

void check_host(DoctorReport& report) {
  const auto prerequisites = runtime::check_prerequisites();
  std::size_t failed = 0;
  for (const auto& item : prerequisites) failed += item.status == runtime::CheckStatus::Fail ? 1 : 0;
  report.checks.push_back(
      {"runtime_prereqs", failed == 0 ? "pass" : "fail",
       failed == 0 ? "this machine can run environments"
                   : fmt::format("{} of {} prerequisites are missing", failed, prerequisites.size()),
       failed == 0 ? "" : "see the failed checks below"});
  for (const auto& item : prerequisites) {
    report.checks.push_back(
        {"prereq_" + item.name, std::string(to_string(item.status)), item.message, item.fix});
  }
}

void check_journal(DoctorReport& report, const store::StoreLayout& layout) {
  const auto wal = try_open_beneath(layout.store(), "wal", O_RDONLY | O_DIRECTORY);
  std::size_t pending = 0;
  bool corrupt = false;
  for (const auto& entry : wal ? list_directory(*wal) : std::vector<DirectoryEntry>{}) {
    if (entry.name == "corrupt") corrupt = true;
    if (entry.name.ends_with(".json")) ++pending;
  }
  if (corrupt) {
    report.checks.push_back({"wal_clean", "warn",
                             "damaged journal entries were set aside in store/wal/corrupt",
                             "run karapace verify-store, then remove that directory"});
  } else if (pending > 0) {
    report.checks.push_back({"wal_clean", "info",
                             fmt::format("{} operations are running or were interrupted", pending),
                             "the next command that writes undoes what was interrupted"});
  } else {
    report.checks.push_back({"wal_clean", "pass", "no unfinished operation", ""});
  }
}

void check_writable(DoctorReport& report, const store::StoreLayout& layout) {
  const uid_t owner = stat_fd(layout.store()).st_uid;
  if (owner != ::geteuid()) {
    report.checks.push_back(
        {"store_writable", "fail",
         fmt::format("the store belongs to user {}, and you are user {}", owner, ::geteuid()),
         "use a store of your own: --store or KARAPACE_STORE"});
    return;
  }
  for (const FdRef directory : {layout.root(), layout.store()}) {
    if (::faccessat(directory.get(), ".", W_OK | X_OK, AT_EACCESS) == 0) continue;
    const bool read_only = errno == EROFS;
    report.checks.push_back({"store_writable", "fail",
                             read_only ? "the file system of the store is mounted read-only"
                                       : "the directories of the store may not be written to",
                             read_only
                                 ? "remount it for writing, or use another store: --store or KARAPACE_STORE"
                                 : fmt::format("chmod u+rwx {0} {0}/store", layout.root_path())});
    return;
  }
  report.checks.push_back({"store_writable", "pass", "the store can be written", ""});
}

void check_disk(DoctorReport& report, const store::StoreLayout& layout) {
  const std::uint64_t bytes = free_bytes(layout.root());
  const std::string text = fmt::format("{} MiB free at {}", bytes / kMiB, layout.root_path());
  if (bytes < kDiskFail) {
    report.checks.push_back(
        {"disk_space", "fail", text, "free some space: destroy environments you do not need"});
    report.healthy = false;
  } else if (bytes < kDiskWarn) {
    report.checks.push_back(
        {"disk_space", "warn", text, "a build with many packages needs a gigabyte or more"});
  } else {
    report.checks.push_back({"disk_space", "pass", text, ""});
  }
}

void check_integrity(DoctorReport& report, const store::IntegrityReport& integrity) {
  if (integrity.failed.empty()) {
    report.checks.push_back(
        {"store_integrity", "pass", fmt::format("{} items checked", integrity.checked), ""});
    return;
  }
  report.checks.push_back(
      {"store_integrity", "fail",
       fmt::format("{} of {} items are damaged", integrity.failed.size(), integrity.checked),
       "karapace verify-store lists them"});
}

}  // namespace

DoctorReport Engine::doctor() {
  DoctorReport report;
  check_host(report);
  bool has_store = false;
  std::optional<Error> problem;
  try {
    has_store = impl_->has_store();
  } catch (const Error& error) {
    problem = error;
  }
  if (problem) {
    report.checks.push_back({"store_exists", "fail", problem->message(), problem->fix()});
  } else if (!has_store) {
    report.checks.push_back({"store_exists", "info", fmt::format("no store at {} yet", impl_->root),
                             "the first karapace build makes it"});
  } else {
    const store::StoreLayout& layout = *impl_->layout;
    report.checks.push_back({"store_exists", "pass", layout.root_path(), ""});
    report.checks.push_back({"store_version", "pass", fmt::format("format {}", store::kFormatVersion), ""});
    check_writable(report, layout);
    check_integrity(report, verify_store());
    check_journal(report, layout);
    const auto environments = list();
    report.checks.push_back(
        {"environments", environments.bad.empty() ? "pass" : "fail",
         environments.bad.empty() ? counted(environments.environments.size(), "environment")
                                  : fmt::format("{} records cannot be read", environments.bad.size()),
         environments.bad.empty() ? "" : "karapace verify-store names them; nothing deletes them"});
    check_disk(report, layout);
  }
  for (const auto& check : report.checks) report.healthy = report.healthy && check.status != "fail";
  return report;
}

}  // namespace karapace::core
