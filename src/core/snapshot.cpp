// SPDX-License-Identifier: Apache-2.0
// commit, snapshots, restore.
#include <fmt/format.h>

#include <algorithm>

#include "impl.hpp"
#include "karapace/base/text.hpp"
#include "karapace/core/engine.hpp"

namespace karapace::core {
namespace {

void check_message(const std::string& message) {
  if (!is_utf8(message)) throw Error(ErrorCode::InvalidInput, "the message is not UTF-8");
  if (message.size() > store::kMaxSnapshotMessageBytes)
    throw Error(ErrorCode::InvalidInput, "the message is longer than 4096 bytes");
}

/// The layers of the snapshot that lie above base and dependencies of the environment.
std::vector<std::string> own_layers(const store::EnvRecord& record, const store::SnapshotRecord& snapshot) {
  store::EnvRecord bare = record;
  bare.snapshot_layers.clear();
  const std::vector<std::string> below = store::layer_stack(bare);
  const bool fits = snapshot.ownership == record.ownership && snapshot.layers.size() >= below.size() &&
                    std::equal(below.begin(), below.end(), snapshot.layers.begin());
  if (!fits) {
    throw Error(
        ErrorCode::Conflict,
        fmt::format("snapshot {} was taken on other packages than {} has now", snapshot.id.substr(0, 12),
                    record.short_id),
        fmt::format("karapace export {} --output DIR brings its files out", snapshot.id.substr(0, 12)));
  }
  return {snapshot.layers.begin() + static_cast<std::ptrdiff_t>(below.size()), snapshot.layers.end()};
}

}  // namespace

CommitResult Engine::commit(const EnvironmentView& environment, const std::string& message) {
  check_message(message);
  LockedEnvironment locked = lock_idle_environment(*impl_, environment.record, "commit");
  CommitResult result = commit_locked(*impl_, locked, {store::SnapshotKind::Commit, message});
  try {
    if (result.changed) squash(*impl_, locked);
  } catch (const Error& error) {
    // The snapshot is made. The next commit tries this again.
    impl_->progress.note(fmt::format("older snapshots stay in many layers: {}", error.message()));
  } catch (const Cancelled&) {
    // The same.
  }
  return result;
}

store::SnapshotList Engine::snapshots(const EnvironmentView& environment) const {
  return store::SnapshotLog(impl_->open()).read(environment.record.env_id);
}

RestoreResult Engine::restore(const EnvironmentView& environment, std::string_view snapshot,
                              const RestoreOptions& options) {
  LockedEnvironment locked = lock_idle_environment(*impl_, environment.record, "restore");
  RestoreResult result{find_snapshot(*impl_->layout, locked.record, snapshot), std::nullopt};
  const std::vector<std::string> layers = own_layers(locked.record, result.snapshot);
  // All that can fail comes before anything changes.
  impl_->ensure_trees(result.snapshot.layers, result.snapshot.ownership);

  bool clean = is_upper_clean(*impl_->layout, locked.record);
  if (!clean && !options.discard) {
    const CommitResult saved =
        commit_locked(*impl_, locked,
                      {store::SnapshotKind::Safety, "before restoring " + result.snapshot.id.substr(0, 12)});
    if (saved.changed) result.safety = saved.head;
    clean = true;
  }
  store::EnvRecord record = locked.record;
  record.snapshot_layers = layers;
  record.head = result.snapshot.id;
  record.updated_at = next_update_time(record);
  if (clean && is_upper_clean(*impl_->layout, record)) {
    // The environment's directory is right as it is, so the record alone decides.
    store::MetadataStore(*impl_->layout).put(record);
  } else {
    replace_upper(*impl_, locked, std::move(record));
  }
  return result;
}

}  // namespace karapace::core
