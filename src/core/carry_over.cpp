// SPDX-License-Identifier: Apache-2.0
// What a new environment gets from the one its manifest had before: the history of snapshots always, and if
// that one is replaced (rebuild) also what was not committed, and the home. Nothing of the old one is
// touched before the new one is complete; each thing is at one of both at any time.

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "build.hpp"
#include "karapace/base/durable.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/store/snapshot_log.hpp"

namespace karapace::core {
namespace {

/// The private home goes on with its owner. Only onto a home that nobody has used yet.
void carry_home(const store::StoreLayout& layout, const std::string& from, const std::string& to) {
  const UniqueFd old_environment = open_directory(layout.root(), "env/" + from);
  const UniqueFd new_environment = open_directory(layout.root(), "env/" + to);
  const auto old_home = try_open_beneath(old_environment, "home", O_RDONLY | O_DIRECTORY);
  if (!old_home || list_directory(*old_home).empty()) return;
  const auto new_home = try_open_beneath(new_environment, "home", O_RDONLY | O_DIRECTORY);
  if (new_home && !list_directory(*new_home).empty())
    throw Error(ErrorCode::Conflict, "both have files in their home");
  if (new_home) remove_directory_at(new_environment, "home");
  rename_at(old_environment, "home", new_environment, "home", Replace::No);
  sync_directory(old_environment);
  sync_directory(new_environment);
}

/// What was not committed becomes a snapshot, whatever state the environment is in.
void save_changes(Engine::Impl& engine, LockedEnvironment& locked) {
  using enum store::EnvState;
  if (locked.record.state != Built && locked.record.state != Frozen) return;
  const CommitResult saved =
      commit_locked(engine, locked, {store::SnapshotKind::Safety, "before rebuilding"});
  if (saved.snapshot)
    engine.progress.note(
        fmt::format("what was not committed is snapshot {}", saved.snapshot->id.substr(0, 12)));
}

/// As opposed to: the disk, the machine, somebody else.
bool is_about_its_files(ErrorCode code) {
  using enum ErrorCode;
  return code == InvalidInput || code == Unsupported || code == Corrupt || code == Conflict;
}

}  // namespace

std::optional<store::EnvRecord> find_predecessor(const store::StoreLayout& layout, const BuildInputs& inputs,
                                                 const std::string& env_id) {
  const store::MetadataStore metadata(layout);
  const auto fits = [&](const store::EnvRecord& record) {
    return record.manifest_path == inputs.manifest_path && record.env_id != env_id;
  };
  if (inputs.old_lock) {
    if (auto record = metadata.find(inputs.old_lock->env_id); record && fits(*record)) return record;
  }
  // Somebody else's lock came with the manifest. Those that were replaced before have no name any more.
  std::optional<store::EnvRecord> newest;
  for (store::EnvRecord& record : metadata.list().records) {
    if (record.name && fits(record) && (!newest || newest->updated_at < record.updated_at))
      newest = std::move(record);
  }
  return newest;
}

void carry_snapshots(const store::StoreLayout& layout, const std::string& from, const std::string& to) {
  store::SnapshotLog log(layout);
  const store::SnapshotList theirs = log.read(from);
  std::unordered_set<std::string> known;
  for (const store::SnapshotRecord& snapshot : log.read(to, store::Stacks::Skip).snapshots)
    known.insert(snapshot.id);
  std::vector<store::SnapshotRecord> missing;
  std::ranges::copy_if(theirs.snapshots, std::back_inserter(missing),
                       [&](const store::SnapshotRecord& snapshot) { return !known.contains(snapshot.id); });
  try {
    if (!missing.empty()) log.append(to, missing);
  } catch (const SystemError& error) {
    // Their own file is good. A disk that does not take ours is no damage that may be left behind.
    if (error.code() != ErrorCode::Corrupt) throw;
    throw Error(ErrorCode::External, error.message());
  }
  if (!theirs.bad.empty())
    throw Error(ErrorCode::Corrupt, fmt::format("{} of its snapshots cannot be read", theirs.bad.size()));
}

std::optional<LockedEnvironment> take_over(Engine::Impl& engine, const store::EnvRecord& old,
                                           const std::string& new_id) {
  LockedEnvironment locked = lock_environment_alone(engine, old, "rebuild", new_id);
  try {
    save_changes(engine, locked);
    carry_snapshots(*engine.layout, old.env_id, new_id);
    carry_home(*engine.layout, old.env_id, new_id);
    return locked;
  } catch (const Error& error) {
    if (!is_about_its_files(error.code())) throw;  // a later rebuild goes on where this one ended
    engine.progress.note(
        fmt::format("{} stays, because not everything in it could be carried over: {}; when you "
                    "need nothing of it any more: karapace destroy {}",
                    old.short_id, error.message(), old.short_id));
    return std::nullopt;
  }
}

}  // namespace karapace::core
