// SPDX-License-Identifier: Apache-2.0
// What the use cases of the engine share.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <set>
#include <string>

#include "karapace/base/cancel.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/progress.hpp"
#include "karapace/core/engine.hpp"
#include "karapace/store/layout.hpp"
#include "karapace/store/metadata.hpp"
#include "karapace/store/tree_sizes.hpp"
#include "karapace/store/wal.hpp"

namespace karapace::core {

struct Engine::Impl {
  std::string root;
  Access access;
  ProgressSink& progress;
  CancelToken& cancel;
  std::optional<store::StoreLayout> layout;  // nothing: there is no store yet
  std::chrono::steady_clock::time_point began = std::chrono::steady_clock::now();

  /// Opens the store, making it if that is allowed. Throws NotFound without one.
  store::StoreLayout& open();
  store::StoreLayout& open_or_create();
  /// False if there is none yet. Throws if something else is in its place, or what is left of one.
  [[nodiscard]] bool has_store() const;
  /// Undoes what dead operations left. Called at open and after an operation of ours failed.
  /// Returns why steps of dead processes could not be undone or finished.
  std::vector<std::string> recover();
  void wait_note(std::string_view whom) const;
  /// How staging and environments are removed, whoever owns the files in them.
  [[nodiscard]] store::TreeRemover tree_remover() const;
  [[nodiscard]] store::SwitchFinisher switch_finisher() const;
  /// A tree that somebody removed is made again from its objects.
  void ensure_trees(const std::vector<std::string>& layers, std::string_view ownership_name);
};

/// Throws PermissionDenied if the store is not that of `user`: its owner could not read what another one
/// writes.
void require_owner(const store::StoreLayout& layout, uid_t user);

/// An environment under its lock, with no session in it and none that can start.
struct LockedEnvironment {
  FileLock store;
  FileLock environment;
  FileLock sessions;
  store::EnvRecord record;
};
/// The lock of an environment in which no commit or restore is half-done: one whose owner died while we
/// waited is finished first. Busy if that cannot be done now.
[[nodiscard]] FileLock lock_settled(Engine::Impl& engine, const std::string& env_id, std::string_view whom);
/// The lock of one environment, by somebody who has that of `holding` (or none: empty). Of two that want each
/// other's one waits and the other gets Busy.
[[nodiscard]] FileLock lock_beside(Engine::Impl& engine, const store::EnvRecord& record,
                                   const std::string& holding);
/// Whatever its state is; `verb` ("commit", "restore") is for messages.
[[nodiscard]] LockedEnvironment lock_environment_alone(Engine::Impl& engine, const store::EnvRecord& record,
                                                       std::string_view verb,
                                                       const std::string& holding = {});
/// For what changes files of an environment that is Built or Frozen.
[[nodiscard]] LockedEnvironment lock_idle_environment(Engine::Impl& engine, const store::EnvRecord& record,
                                                      std::string_view verb);
/// From here on it is gone, whatever happens.
void destroy_locked(Engine::Impl& engine, const LockedEnvironment& locked);

/// What one commit is about.
struct CommitRequest {
  store::SnapshotKind kind = store::SnapshotKind::Commit;
  std::string message;
};
/// Changes `locked.record`. See store/commit.hpp.
[[nodiscard]] CommitResult commit_locked(Engine::Impl& engine, LockedEnvironment& locked,
                                         const CommitRequest& request);
/// After a commit: merges the topmost snapshot layers if there are many. Changes `locked.record`, not what it
/// shows.
void squash(Engine::Impl& engine, LockedEnvironment& locked);
/// Makes `record` the environment's, and its upper directory an empty one that fits to the new topmost layer.
/// What was in the upper directory is deleted.
void replace_upper(Engine::Impl& engine, LockedEnvironment& locked, store::EnvRecord record);
/// True if there is certainly nothing in the upper directory that is not in the layer below; false may mean
/// that only the worker can tell.
[[nodiscard]] bool is_upper_clean(const store::StoreLayout& layout, const store::EnvRecord& record);
/// For without_obstacles, in its handler.
[[noreturn]] void rethrow_as_obstacle(const Error& error);
/// Runs `body`, which reads what was written in an environment. A file there that a layer cannot hold is
/// neither a wrong manifest nor a wrong argument, so it is told as Conflict.
template <typename Body>
decltype(auto) without_obstacles(Body&& body) {
  try {
    return std::forward<Body>(body)();
  } catch (const Error& error) {
    rethrow_as_obstacle(error);
  }
}
/// A time that the record does not have yet: recovery tells the old record from the new one by it.
[[nodiscard]] std::string next_update_time(const store::EnvRecord& record);
/// By id, unique beginning, or digest of the layer.
[[nodiscard]] store::SnapshotRecord find_snapshot(const store::StoreLayout& layout,
                                                  const store::EnvRecord& record, std::string_view reference);

/// verify-store by somebody who has the store lock.
[[nodiscard]] store::IntegrityReport verify_locked_store(Engine::Impl& engine);

/// What a worker in the user namespace of mapped files sees.
[[nodiscard]] store::InsideSizes inside_sizes(const store::StoreLayout& layout, CancelToken& cancel);
/// The lock that the environment was built from; nothing while Defined. Throws what keeps it from being read.
[[nodiscard]] std::optional<LockFile> lock_of(const store::StoreLayout& layout,
                                              const store::EnvRecord& record);
/// sha256 of the artefacts that it names.
[[nodiscard]] std::set<std::string> packages_of(const LockFile& lock);
/// As in EnvironmentDetails.
[[nodiscard]] std::optional<bool> follows_lock(const store::StoreLayout& layout,
                                               const store::EnvRecord& record);

/// The record as it is now, with Running derived from live sessions.
[[nodiscard]] EnvironmentView make_view(const store::StoreLayout& layout, store::EnvRecord record);

/// Throws Conflict unless `state` is one of the states in which `verb` ("destroy", "rename") may happen.
void require_not_running(const EnvironmentView& environment, std::string_view verb);
/// Throws Conflict: the state of the record does not allow `verb`, and what brings it to one that does.
[[noreturn]] void refuse_state(const store::EnvRecord& record, std::string_view verb);

/// The record as it is under the environment's lock: it may have changed since it was looked up.
[[nodiscard]] EnvironmentView reload(const store::StoreLayout& layout, const std::string& env_id);

[[nodiscard]] std::string directory_of(const std::string& absolute);

}  // namespace karapace::core
