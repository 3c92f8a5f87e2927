// SPDX-License-Identifier: Apache-2.0
// commit, snapshots, restore.
#include <fmt/format.h>

#include <algorithm>

#include "impl.hpp"
#include "karapace/base/text.hpp"
#include "karapace/core/engine.hpp"
#include "karapace/store/layer.hpp"
#include "karapace/store/snapshot_heads.hpp"

namespace karapace::core {
namespace {

void check_message(const std::string& message) {
  if (!is_utf8(message)) throw Error(ErrorCode::InvalidInput, "the message is not UTF-8");
  if (message.size() > store::kMaxSnapshotMessageBytes)
    throw Error(ErrorCode::InvalidInput, "the message is longer than 4096 bytes");
}

/// A stack by what its layers are for.
struct Stack {
  std::string base;
  std::vector<std::string> dependencies;
  std::vector<std::string> snapshots;
};

Stack split(const store::StoreLayout& layout, const store::EnvRecord& record,
            const store::SnapshotRecord& snapshot) {
  if (snapshot.ownership != record.ownership) {
    throw Error(
        ErrorCode::Conflict,
        fmt::format("snapshot {} has {} ownership and {} has {}", snapshot.id.substr(0, 12),
                    snapshot.ownership, record.short_id, record.ownership),
        fmt::format("karapace export {} --output DIR brings its files out", snapshot.id.substr(0, 12)));
  }
  store::EnvRecord bare = record;
  bare.snapshot_layers.clear();
  const std::vector<std::string> below = store::layer_stack(bare);
  const std::vector<std::string>& all = snapshot.layers;
  if (all.size() >= below.size() && std::equal(below.begin(), below.end(), all.begin()))
    return {record.base_layer,
            record.dependency_layers,
            {all.begin() + static_cast<std::ptrdiff_t>(below.size()), all.end()}};
  // Taken on another base or on other packages: all of them come back with it.
  const store::LayerStore layers(layout);
  const auto first_own = std::find_if(all.begin() + 1, all.end(), [&](const std::string& layer) {
    return layers.load(Digest::parse(layer)).kind != store::LayerKind::Dependency;
  });
  return {all.front(), {all.begin() + 1, first_own}, {first_own, all.end()}};
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

void Engine::visit_snapshots(const EnvironmentView& environment, store::Stacks stacks,
                             const store::SnapshotVisitor& visitor) const {
  const store::EnvRecord& record = environment.record;
  bool knows_head = !record.head;
  bool damaged = false;
  store::SnapshotLog(impl_->open())
      .visit(record.env_id, stacks,
             {.snapshot =
                  [&](store::SnapshotRecord& snapshot, const store::LinePlace& place) {
                    knows_head = knows_head || snapshot.id == *record.head;
                    visitor.snapshot(snapshot, place);
                  },
              .bad =
                  [&](store::BadRecord bad) {
                    damaged = true;
                    visitor.bad(std::move(bad));
                  }});
  if (knows_head || damaged) return;
  visitor.bad({"snapshots/" + record.env_id, store::SnapshotHeads::reason(*record.head)});
}

RestoreResult Engine::restore(const EnvironmentView& environment, std::string_view snapshot,
                              const RestoreOptions& options) {
  LockedEnvironment locked = lock_idle_environment(*impl_, environment.record, "restore");
  RestoreResult result;
  result.snapshot = find_snapshot(*impl_->layout, locked.record, snapshot);
  const Stack stack = split(*impl_->layout, locked.record, result.snapshot);
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
  record.base_layer = stack.base;
  record.dependency_layers = stack.dependencies;
  record.snapshot_layers = stack.snapshots;
  record.head = result.snapshot.id;
  record.updated_at = next_update_time(record);
  if (clean && is_upper_clean(*impl_->layout, record)) {
    // The environment's directory is right as it is, so the record alone decides.
    store::MetadataStore(*impl_->layout).put(record);
    locked.record = std::move(record);
  } else {
    replace_upper(*impl_, locked, std::move(record));
  }
  result.follows_lock = follows_lock(*impl_->layout, locked.record);
  return result;
}

}  // namespace karapace::core
