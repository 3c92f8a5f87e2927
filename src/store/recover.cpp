// SPDX-License-Identifier: Apache-2.0
// Recovery: every entry whose lock can be had belongs to a dead process. Whatever is found in wal/ is data of
// unknown origin: it is opened without following links, its ids are checked, and what is not an entry is set
// aside, never acted upon.
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>

#include "karapace/base/clock.hpp"
#include "karapace/base/durable.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/log.hpp"
#include "karapace/base/text.hpp"
#include "karapace/store/metadata.hpp"
#include "karapace/store/snapshot_log.hpp"
#include "karapace/store/wal.hpp"
#include "undo.hpp"
#include "wal_entry.hpp"

namespace karapace::store {
namespace {

constexpr const char* kCorruptDirectory = "corrupt";
constexpr std::string_view kSuffix = ".json";

void remove_tree(const StoreLayout& layout, const std::string& relative, const TreeRemover& remover) {
  if (remover) {
    remover(relative);
  } else {
    remove_tree_at(layout.root(), relative);
  }
}

/// Removes env/<id> and its snapshots under its own lock, so that nobody can be building it.
StepResult remove_environment(const StoreLayout& layout, const std::string& env_id,
                              const TreeRemover& remover) {
  const UniqueFd environments = layout.environments();
  if (!exists_at(environments, env_id) && !exists_at(layout.store(), "snapshots/" + env_id))
    return StepResult::Done;
  const std::optional<FileLock> lock = layout.try_lock_environment(env_id);
  if (!lock) return StepResult::Later;
  // Again, now that nobody can write one: a record, also an unreadable one, means that the environment is
  // wanted.
  if (exists_at(layout.metadata(), env_id)) return StepResult::Done;
  SnapshotLog(layout).remove(env_id);
  remove_tree(layout, "env/" + env_id, remover);
  sync_directory(environments);
  return StepResult::Done;
}

/// A record that was written after the destroy began belongs to an environment that somebody built anew.
bool was_built_anew(const StoreLayout& layout, const std::string& env_id, const std::string& begun_at) {
  try {
    const std::optional<EnvRecord> record = MetadataStore(layout).find(env_id);
    return record && parse_rfc3339(record->updated_at) > parse_rfc3339(begun_at);
  } catch (const CorruptError&) {
    return false;  // damaged, and its owner asked for its end
  } catch (const Error& error) {
    if (error.code() != ErrorCode::InvalidInput) throw;
    return true;  // times that cannot be compared: do no harm
  }
}

StepResult finish_destroy(const StoreLayout& layout, const std::string& env_id, const std::string& begun_at,
                          const TreeRemover& remover) {
  const bool has_directory = exists_at(layout.environments(), env_id);
  if (!has_directory && !exists_at(layout.metadata(), env_id)) {
    SnapshotLog(layout).remove(env_id);
    return StepResult::Done;
  }
  {
    const std::optional<FileLock> lock = layout.try_lock_environment(env_id);
    if (!lock) return StepResult::Later;
    if (was_built_anew(layout, env_id, begun_at)) return StepResult::Done;
    MetadataStore(layout).remove(env_id);
    SnapshotLog(layout).remove(env_id);
  }
  try {
    return remove_environment(layout, env_id, remover) == StepResult::Done ? StepResult::Done
                                                                           : StepResult::RecordGone;
  } catch (const Error& error) {
    log::debug("environment {} is not removed yet: {}", env_id, error.what());
    return StepResult::RecordGone;
  }
}

void set_aside(FdRef wal, const std::string& name, const std::string& reason, RecoveryReport& report) {
  log::debug("intent log: setting aside {}: {}", printable(name), reason);
  ensure_directory_at(wal, kCorruptDirectory, 0700);
  const UniqueFd corrupt = open_directory(wal, kCorruptDirectory);
  if (!rename_at(wal, name, corrupt, name, Replace::No)) {
    // The suffix must not make a long name longer than a name can be.
    rename_at(wal, name, corrupt, name.substr(0, 200) + "-" + random_hex(8), Replace::No);
  }
  sync_directory(corrupt);
  sync_directory(wal);
  report.set_aside.push_back(name);
}

/// The locked entry file; nothing if it is gone or somebody has the lock. What cannot be an entry throws
/// CorruptError.
std::optional<FileLock> lock_entry(FdRef wal, const std::string& name, RecoveryReport& report,
                                   const std::string& op_id) {
  std::optional<UniqueFd> file;
  try {
    file = try_open_beneath(wal, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY);
  } catch (const SystemError& error) {
    const int number = error.error_number();
    if (number != ELOOP && number != ENXIO && number != ENODEV) throw;
    throw CorruptError("intent log entry " + op_id, "a regular file", error.message());
  }
  if (!file) return std::nullopt;
  if (!S_ISREG(stat_fd(*file).st_mode))
    throw CorruptError("intent log entry " + op_id, "a regular file", "another type");
  std::optional<FileLock> lock = FileLock::try_acquire(std::move(*file), LockMode::Exclusive);
  if (!lock) {
    report.still_alive.push_back(op_id);
    return std::nullopt;
  }
  // Its owner may have finished, or replaced it, between our open and our lock.
  const std::optional<struct stat> named = stat_at(wal, name);
  if (!named) return std::nullopt;
  if (named->st_ino != stat_fd(lock->fd()).st_ino) {
    report.still_alive.push_back(op_id);
    return std::nullopt;
  }
  return lock;
}

void recover_entry(const StoreLayout& layout, FdRef wal, const std::string& name, const TreeRemover& remover,
                   const SwitchFinisher& finisher, RecoveryReport& report) {
  const std::string op_id =
      name.ends_with(kSuffix) ? name.substr(0, name.size() - kSuffix.size()) : std::string();
  try {
    if (!is_op_id(op_id)) throw CorruptError("intent log", "<op_id>.json", printable(name));
    std::optional<FileLock> lock = lock_entry(wal, name, report, op_id);
    if (!lock) return;
    std::string text;
    try {
      text = read_all(lock->fd(), kMaxWalEntryBytes);
    } catch (const SystemError&) {
      throw;
    } catch (const Error& error) {
      throw CorruptError("intent log entry " + op_id, "a small file", error.message());
    }
    if (undo_entry(layout, wal, parse_wal_text(text, op_id), *lock, remover, finisher, report.obstacles))
      report.undone.push_back(op_id);
  } catch (const CorruptError& error) {
    set_aside(wal, name, error.message(), report);
  }
}

/// Temporaries of a writer that died. A living one holds the lock, or notices that its file is gone and
/// begins again.
void remove_temporary(FdRef wal, const std::string& name) {
  const std::optional<struct stat> info = stat_at(wal, name);
  if (!info || !S_ISREG(info->st_mode)) return;
  std::optional<UniqueFd> file = try_open_beneath(wal, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
  if (!file) return;
  const std::optional<FileLock> lock = FileLock::try_acquire(std::move(*file), LockMode::Exclusive);
  if (lock && stat_fd(lock->fd()).st_nlink > 0) try_unlink_at(wal, name);
}

/// Staging directories without an entry: their entry was damaged. An operation has its entry from before it
/// makes the directory until after it is gone, so whoever reads the directory first and then looks for
/// entries cannot be wrong. The store lock keeps gc and migrate out of it.
void sweep_staging(const StoreLayout& layout, FdRef wal, const TreeRemover& remover) {
  const UniqueFd staging = layout.staging();
  const std::vector<DirectoryEntry> entries = list_directory(staging);
  if (entries.empty()) return;
  const std::optional<FileLock> lock = layout.try_lock_exclusive();
  if (!lock) return;
  for (const DirectoryEntry& entry : entries) {
    if (is_op_id(entry.name) && exists_at(wal, wal_file_name(entry.name))) continue;
    if (has_switch_plan(staging, entry.name)) continue;
    try {
      // Only names that we make are handed to a remover, which puts them into a path.
      remove_tree(layout, "store/staging/" + entry.name, is_op_id(entry.name) ? remover : TreeRemover());
    } catch (const Error& error) {
      log::debug("staging/{} stays: {}", printable(entry.name), error.what());
    }
  }
  sync_directory(staging);
}

/// Idempotent. Throws what the removal throws.
StepResult undo_step(const StoreLayout& layout, const WalStep& step, const WalEntry& entry,
                     const TreeRemover& remover, const SwitchFinisher& finisher) {
  switch (step.kind) {
    case WalStep::Kind::RemoveStaging:
      undo_remove_staging(layout, step.id, remover);
      return StepResult::Done;
    case WalStep::Kind::RemoveEnvironment:
      if (exists_at(layout.metadata(), step.id)) return StepResult::Done;
      return remove_environment(layout, step.id, remover);
    case WalStep::Kind::FinishDestroy:
      return finish_destroy(layout, step.id, entry.timestamp, remover);
    case WalStep::Kind::DropName: {
      if (!exists_at(layout.metadata(), step.id)) return StepResult::Done;
      const std::optional<FileLock> lock = layout.try_lock_environment(step.id);
      if (!lock) return StepResult::Later;
      MetadataStore(layout).drop_taken_name(step.id);
      return StepResult::Done;
    }
    case WalStep::Kind::FinishSwitch:
      return finish_switch(layout, entry.op_id, step.id, finisher);
  }
  return StepResult::Done;
}

}  // namespace

void undo_remove_staging(const StoreLayout& layout, const std::string& op_id, const TreeRemover& remover) {
  const UniqueFd staging = layout.staging();
  if (!exists_at(staging, op_id)) return;
  remove_tree(layout, "store/staging/" + op_id, remover);
  sync_directory(staging);
}

bool has_switch_plan(FdRef staging, const std::string& name) {
  const auto directory = [&]() -> std::optional<UniqueFd> {
    try {
      return try_open_beneath(staging, name, O_PATH | O_DIRECTORY);
    } catch (const SystemError&) {
      return std::nullopt;  // a link or a file: nothing of ours
    }
  }();
  return directory && exists_at(*directory, "plan");
}

bool undo_entry(const StoreLayout& layout, FdRef wal, WalEntry entry, FileLock& lock,
                const TreeRemover& remover, const SwitchFinisher& finisher,
                std::vector<std::string>& obstacles) {
  std::vector<WalStep> left;
  bool changed = false;
  bool needs_staging = false;
  for (auto step = entry.steps.rbegin(); step != entry.steps.rend(); ++step) {
    StepResult result = StepResult::Later;
    try {
      // What could not be finished yet may still have the environment's files there.
      if (!(needs_staging && step->kind == WalStep::Kind::RemoveStaging))
        result = undo_step(layout, *step, entry, remover, finisher);
    } catch (const Error& error) {
      log::debug("operation {} is not undone yet: {}", entry.op_id, error.what());
      obstacles.emplace_back(error.what());
    }
    if (result == StepResult::Done) continue;
    needs_staging = needs_staging || step->kind == WalStep::Kind::FinishSwitch;
    // From now on a record of that name is of another environment than the one that was destroyed.
    if (result == StepResult::RecordGone) {
      step->kind = WalStep::Kind::RemoveEnvironment;
      changed = true;
    }
    left.push_back(*step);
  }
  if (left.empty()) {
    try_unlink_at(wal, wal_file_name(entry.op_id));
    sync_directory(wal);
    return true;
  }
  if (changed) {
    std::ranges::reverse(left);
    entry.steps = std::move(left);
    lock = write_wal_entry(wal, entry);
  }
  return false;
}

RecoveryReport recover(const StoreLayout& layout, const TreeRemover& remover,
                       const SwitchFinisher& finisher) {
  RecoveryReport report;
  const UniqueFd wal = layout.open_dir("store/wal");
  for (const DirectoryEntry& entry : list_directory(wal)) {
    if (entry.name == kCorruptDirectory) continue;
    try {
      if (entry.name.starts_with(kTemporaryPrefix)) {
        remove_temporary(wal, entry.name);
      } else {
        recover_entry(layout, wal, entry.name, remover, finisher, report);
      }
    } catch (const Error& error) {
      // One entry that cannot be read now must not keep the others from being undone.
      log::debug("intent log: {} stays: {}", printable(entry.name), error.what());
    }
  }
  sweep_staging(layout, wal, remover);
  return report;
}

}  // namespace karapace::store
