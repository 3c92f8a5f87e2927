// SPDX-License-Identifier: Apache-2.0
// freeze, thaw, archive, unarchive: one word of the record, changed while no session is open and none can
// begin. What a frozen environment means is for runtime::plan_environment: its upper directory becomes a
// lower one. An archived one has no trees; what was written in it is a snapshot, so objects and indexes are
// all that it needs.

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>
#include <utility>

#include "impl.hpp"
#include "karapace/base/text.hpp"
#include "karapace/core/engine.hpp"
#include "karapace/store/gc.hpp"
#include "karapace/store/snapshot_log.hpp"

namespace karapace::core {
namespace {

FileLock lock_out(const store::StoreLayout& layout, const store::EnvRecord& record, std::string_view verb) {
  auto lock = runtime::lock_out_sessions(layout, record.env_id);
  if (lock) return std::move(*lock);
  throw Error(ErrorCode::Conflict,
              fmt::format("cannot {} {}: a session is open in it", verb, record.short_id),
              fmt::format("karapace stop {}", record.short_id));
}

/// `prepare` runs before the record changes, under the locks.
StateChange change_state(Engine::Impl& engine, const EnvironmentView& environment, std::string_view verb,
                         store::EnvState from, store::EnvState to,
                         const std::function<void(const store::EnvRecord&)>& prepare = {}) {
  const std::string env_id = environment.record.env_id;
  const store::StoreLayout& layout = engine.open();
  const auto shared = layout.lock_shared([&] { engine.wait_note("a store-wide operation"); });
  const auto lock = lock_settled(
      engine, env_id, fmt::format("another command that is changing {}", environment.record.short_id));
  EnvironmentView current = reload(layout, env_id);
  // Asked for again, by somebody who does not know how it ended the first time. What is frozen is not
  // archived.
  const bool is_back = from == store::EnvState::Archived && current.record.state == store::EnvState::Frozen;
  if (current.record.state == to || is_back) return {std::move(current), false};
  require_not_running(current, verb);
  if (current.record.state != from) refuse_state(current.record, verb);
  const FileLock sessions = lock_out(layout, current.record, verb);
  if (prepare) prepare(current.record);
  const bool was_frozen = std::exchange(current.record.archived_frozen, false);
  current.record.state = current.state = was_frozen ? store::EnvState::Frozen : to;
  current.record.updated_at = next_update_time(current.record);
  store::MetadataStore(layout).put(current.record);
  return {std::move(current), true};
}

/// Trees of the environment that nothing else needs. Who else may need them can only be told with the store
/// to oneself; if it is in use now, the next gc does it.
void drop_trees(Engine::Impl& engine, const store::EnvRecord& record) {
  const store::StoreLayout& layout = *engine.layout;
  const auto lock = layout.try_lock_exclusive();
  if (!lock) {
    engine.progress.note("other commands are using the store: karapace gc frees the trees later");
    return;
  }
  std::set<std::string> layers;
  for (const std::string& layer : store::layer_stack(record)) layers.insert(layer);
  for (const store::SnapshotRecord& snapshot : store::SnapshotLog(layout).read(record.env_id).snapshots)
    layers.insert(snapshot.layers.begin(), snapshot.layers.end());
  store::GcPlan plan;
  plan.trees = store::plan_gc_of_trees(layout, engine.progress, engine.cancel);
  std::erase_if(plan.trees, [&](const std::string& tree) { return !layers.contains(tree); });
  const store::GcResult result =
      store::apply_gc(layout, plan, engine.tree_remover(), engine.progress, engine.cancel);
  for (const store::GcFailure& failure : result.failures)
    engine.progress.note(fmt::format("{} stays until the next gc: {}", failure.what, failure.reason));
}

}  // namespace

void refuse_state(const store::EnvRecord& record, std::string_view verb) {
  std::string fix = fmt::format("karapace build {}", record.manifest_path);
  if (record.state == store::EnvState::Archived) fix = fmt::format("karapace unarchive {}", record.short_id);
  if (record.state == store::EnvState::Frozen) fix = fmt::format("karapace thaw {}", record.short_id);
  throw Error(ErrorCode::Conflict,
              fmt::format("cannot {} {}: it is {}", verb, record.short_id, to_lower_string(record.state)),
              fix);
}

StateChange Engine::freeze(const EnvironmentView& environment) {
  return change_state(*impl_, environment, "freeze", store::EnvState::Built, store::EnvState::Frozen);
}

StateChange Engine::thaw(const EnvironmentView& environment) {
  return change_state(*impl_, environment, "thaw", store::EnvState::Frozen, store::EnvState::Built);
}

StateChange Engine::archive(const EnvironmentView& environment) {
  StateChange result;
  {
    const EnvironmentView present = reload(impl_->open(), environment.record.env_id);
    if (present.record.state == store::EnvState::Archived) return {present, false};
    if (present.record.state == store::EnvState::Defined) refuse_state(present.record, "archive");
    LockedEnvironment locked = lock_idle_environment(*impl_, present.record, "archive");
    // Nothing is lost if we end here: it is Built, and stands on a snapshot of what it was.
    const CommitResult saved =
        commit_locked(*impl_, locked, {store::SnapshotKind::Safety, "before archiving"});
    if (saved.snapshot)
      impl_->progress.note(fmt::format("what was written is snapshot {}", saved.snapshot->id.substr(0, 12)));
    locked.record.archived_frozen = locked.record.state == store::EnvState::Frozen;
    locked.record.state = store::EnvState::Archived;
    locked.record.updated_at = next_update_time(locked.record);
    store::MetadataStore(*impl_->layout).put(locked.record);
    result = {make_view(*impl_->layout, locked.record), true};
  }
  drop_trees(*impl_, result.environment.record);
  return result;
}

StateChange Engine::unarchive(const EnvironmentView& environment) {
  return change_state(*impl_, environment, "unarchive", store::EnvState::Archived, store::EnvState::Built,
                      [&](const store::EnvRecord& record) {
                        impl_->progress.step("lay out", counted(store::layer_stack(record).size(), "layer"));
                        impl_->ensure_trees(store::layer_stack(record), record.ownership);
                      });
}

}  // namespace karapace::core
