// SPDX-License-Identifier: Apache-2.0
#include "karapace/store/migration.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "karapace/base/clock.hpp"
#include "karapace/base/durable.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "karapace/store/layout.hpp"
#include "record_text.hpp"

namespace karapace::store {
namespace {

constexpr std::uint64_t kOldFormat = 1;
constexpr int kBackupRounds = 64;

/// "20261122T180038Z"
std::string compact_time() {
  std::string text = format_rfc3339(now()).substr(0, 19);
  std::erase(text, '-');
  std::erase(text, ':');
  return text + "Z";
}

class Migration {
 public:
  Migration(const StoreLayout& layout, MigrationReport& report, ProgressSink& progress,
            const CancelToken& cancel)
      : layout_(layout), report_(report), progress_(progress), cancel_(cancel) {}

  void run() {
    layout_.ensure_directories();
    progress_.step("migrate", "records");
    read_records();
    read_journal();
    make_backup();
    MetadataStore metadata(layout_);
    for (EnvRecord& record : records_) {
      cancel_.check();
      put(metadata, record);
      progress_.advance(++report_.environments, records_.size(), "files");
    }
    put_journal_aside();
    layout_.write_version();
    report_.status = MigrationStatus::Migrated;
  }

 private:
  void read_records() {
    const UniqueFd dir = layout_.metadata();
    for (const DirectoryEntry& entry : list_directory(dir)) {
      if (entry.name.starts_with('.')) continue;
      cancel_.check();
      try {
        check_env_id(entry.name);
        std::string text = read_file_at(dir, entry.name, kMaxRecordBytes);
        if (is_current_record(text, entry.name)) continue;  // of a run that was interrupted
        records_.push_back(parse_format_1_record(text, entry.name));
        changed_.emplace(entry.name, std::move(text));
      } catch (const Error& error) {
        report_.skipped.push_back({entry.name, error.message()});
      }
    }
  }

  void read_journal() {
    for (const DirectoryEntry& entry : list_directory(layout_.open_dir("store/wal"))) {
      if (entry.name.ends_with(".json")) journal_.push_back(entry.name);
    }
    report_.operations = journal_.size();
  }

  /// Under a name that nothing has yet: an earlier backup is somebody's way back.
  void make_backup() {
    const FdRef store = layout_.store();
    const std::string version = read_file_at(store, "version", 4096);
    const std::string time = compact_time();
    for (int round = 0; round < kBackupRounds; ++round) {
      const std::string stamp = round == 0 ? time : fmt::format("{}-{}", time, round + 1);
      if (exists_at(store, "version.backup." + stamp) || exists_at(store, "backup." + stamp)) continue;
      if (!changed_.empty() || !journal_.empty()) back_up_files(store, "backup." + stamp);
      publish_object(store, "version.backup." + stamp, version, 0400);
      report_.backup = "store/version.backup." + stamp;
      return;
    }
    throw Error(ErrorCode::Busy, "no free name for a backup");
  }

  void back_up_files(FdRef store, const std::string& name) {
    const std::string temporary = std::string(kTemporaryPrefix) + random_hex(16);
    ensure_directory_at(store, temporary + "/metadata");
    ensure_directory_at(store, temporary + "/wal");
    const UniqueFd dir = open_directory(store, temporary + "/metadata");
    for (const auto& [env_id, text] : changed_)
      write_all(open_beneath(dir, env_id, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0400), text);
    sync_filesystem(store);
    rename_at(store, temporary, store, name, Replace::No);
    sync_directory(store);
    report_.record_backup = "store/" + name;
  }

  void put(MetadataStore& metadata, EnvRecord& record) {
    try {
      metadata.put(record);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::Conflict) throw;
      record.name.reset();
      metadata.put(record);
      report_.unnamed.push_back(record.env_id);
    }
  }

  /// Entries of the old program name paths; nobody may ever act on them again.
  void put_journal_aside() {
    if (journal_.empty()) return;
    const UniqueFd wal = layout_.open_dir("store/wal");
    const UniqueFd backup = layout_.open_dir(report_.record_backup + "/wal");
    for (const std::string& name : journal_) rename_at(wal, name, backup, name, Replace::Yes);
    sync_directory(backup);
    sync_directory(wal);
  }

  const StoreLayout& layout_;
  MigrationReport& report_;
  ProgressSink& progress_;
  const CancelToken& cancel_;
  std::vector<EnvRecord> records_;
  std::map<std::string, std::string> changed_;  // env id: text before
  std::vector<std::string> journal_;
};

}  // namespace

MigrationReport migrate_store(const std::string& root, ProgressSink& progress, const CancelToken& cancel) {
  MigrationReport report;
  std::optional<StoreLayout> layout = StoreLayout::open_any_version(root);
  if (!layout) return report;
  const FileLock lock =
      layout->lock_exclusive([&] { progress.note("waiting for commands that are using the store"); });
  // Under the lock: somebody else may have migrated it while we waited.
  report.found = layout->read_version();
  if (report.found > kFormatVersion) {
    report.status = MigrationStatus::Newer;
  } else if (report.found == kFormatVersion) {
    report.status = MigrationStatus::Current;
  } else if (report.found == kOldFormat) {
    with_context([&] { return "migrating the store " + layout->root_path(); },
                 [&] { Migration(*layout, report, progress, cancel).run(); });
  } else {
    throw CorruptError("store/version", "a format from 1 to 2", std::to_string(report.found));
  }
  return report;
}

}  // namespace karapace::store
