// SPDX-License-Identifier: Apache-2.0
// Sealing an upper directory, or putting it aside. store/commit.hpp has the steps and why they are safe.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <functional>

#include "impl.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/rel_path.hpp"
#include "karapace/base/text.hpp"
#include "karapace/runtime/worker.hpp"
#include "karapace/schema/identity.hpp"
#include "karapace/store/commit.hpp"
#include "karapace/store/layer.hpp"

namespace karapace::core {
namespace {

bool is_flat(const store::EnvRecord& record) { return record.ownership != "mapped"; }

runtime::TreeWorker worker_for(const store::StoreLayout& layout, const store::EnvRecord& record) {
  return {layout, is_flat(record) ? Ownership::Flat : Ownership::Mapped};
}

/// Runs `body` with an operation. What fails is taken back, or ended, at once.
template <typename Body>
void with_operation(Engine::Impl& engine, LockedEnvironment& locked, store::OpKind kind, Body&& body) {
  const store::StoreLayout& layout = *engine.layout;
  auto operation = store::Operation::begin(layout, kind, locked.record.env_id,
                                           {{store::WalStep::Kind::FinishSwitch, locked.record.env_id}});
  try {
    body(operation);
    operation.finish(engine.tree_remover());
  } catch (...) {
    {
      // Recovery takes these locks itself.
      const store::Operation dead = std::move(operation);
      const FileLock sessions = std::move(locked.sessions);
      const FileLock environment = std::move(locked.environment);
    }
    engine.recover();
    throw;
  }
}

store::SnapshotRecord make_snapshot(const store::EnvRecord& record, const store::CommitPreparation& prepared,
                                    const CommitRequest& request) {
  store::SnapshotRecord snapshot;
  snapshot.parent = record.head;
  snapshot.layer = prepared.hash.hex();
  snapshot.layers = store::layer_stack(record);
  snapshot.layers.push_back(snapshot.layer);
  snapshot.ownership = record.ownership;
  snapshot.kind = request.kind;
  snapshot.message = request.message;
  snapshot.created_at = next_update_time(record);
  snapshot.entries = prepared.entries;
  snapshot.bytes = prepared.bytes;
  store::set_snapshot_id(snapshot);
  return snapshot;
}

store::LayerRecord make_layer_record(const store::CommitPreparation& prepared, const std::string& ownership) {
  store::LayerRecord layer;
  layer.hash = prepared.hash;
  layer.kind = store::LayerKind::Snapshot;
  layer.index_object = prepared.hash;
  layer.mtimes_object = prepared.mtimes;
  layer.ownership = ownership;
  layer.entries = prepared.entries;
  layer.bytes = prepared.bytes;
  return layer;
}

}  // namespace

std::string next_update_time(const store::EnvRecord& record) {
  std::string time;
  do time = format_rfc3339(now());
  while (time == record.updated_at);
  return time;
}

namespace {

/// Runs `body`, which opens the upper directory; something else in its place is damage.
template <typename Body>
decltype(auto) opening_upper(const store::StoreLayout& layout, const std::string& env_id, Body&& body) {
  try {
    return std::forward<Body>(body)();
  } catch (const SystemError& error) {
    if (error.error_number() != ENOTDIR && error.error_number() != ELOOP) throw;
    const std::string upper = fmt::format("{}/env/{}/upper", layout.root_path(), env_id);
    CorruptError damage(upper, "a directory", errno_text(error.error_number()));
    damage.set_fix("Move away what lies there: it is no directory, so it has nothing of the environment.");
    throw damage;
  }
}

}  // namespace

bool is_upper_clean(const store::StoreLayout& layout, const store::EnvRecord& record) {
  const std::string upper = "env/" + record.env_id + "/upper";
  try {
    const UniqueFd opened = opening_upper(layout, record.env_id, [&] { return layout.open_dir(upper); });
    return store::is_upper_clean(opened, layout.open_dir("trees/" + store::layer_stack(record).back()),
                                 is_flat(record), ::geteuid());
  } catch (const SystemError& error) {
    if (error.error_number() == EACCES || error.error_number() == EPERM) return false;
    throw;
  }
}

void rethrow_as_obstacle(const Error& error) {
  if (error.code() != ErrorCode::InvalidInput) throw;
  std::string fix = error.fix();
  const auto says = [&](const char* text) { return error.message().find(text) != std::string::npos; };
  if (fix.empty() && (says("ENAMETOOLONG") || says("longer or deeper")))
    fix = fmt::format("Give it a shorter path: a layer holds paths of at most {} bytes and {} names.",
                      RelPath::kMaxLength, RelPath::kMaxDepth);
  throw Error(ErrorCode::Conflict, error.message(), std::move(fix));
}

namespace {

/// `take` gives the lock of the environment.
FileLock take_settled(Engine::Impl& engine, const std::string& env_id,
                      const std::function<FileLock()>& take) {
  constexpr int kRounds = 3;
  std::vector<std::string> obstacles;
  for (int round = 0;; ++round) {
    FileLock lock = take();
    if (!store::has_unfinished_switch(*engine.layout, env_id)) return lock;
    if (round == kRounds) break;
    {
      // Recovery takes it itself.
      const FileLock given_back = std::move(lock);
    }
    obstacles = engine.recover();
  }
  const std::string short_id = env_id.substr(0, EnvId::kShortLength);
  const std::string what =
      fmt::format("a commit or restore of {} was interrupted, and cannot be finished now", short_id);
  if (!obstacles.empty())
    throw Error(ErrorCode::Busy, fmt::format("{}: {}", what, fmt::join(obstacles, "; ")),
                "remove what is in the way, and try again; nothing that was written is lost");
  throw Error(ErrorCode::Busy, what, fmt::format("karapace stop {}, and try again", short_id));
}

}  // namespace

FileLock lock_settled(Engine::Impl& engine, const std::string& env_id, std::string_view whom) {
  return take_settled(engine, env_id, [&] {
    return engine.layout->lock_environment(env_id, [&] { engine.wait_note(whom); });
  });
}

FileLock lock_beside(Engine::Impl& engine, const store::EnvRecord& record, const std::string& holding) {
  const store::StoreLayout& layout = *engine.layout;
  const std::string whom = fmt::format("another command that is changing {}", record.short_id);
  // Whoever has one waits only for a smaller one, so nobody waits in a circle.
  if (holding.empty() || record.env_id < holding) return lock_settled(engine, record.env_id, whom);
  return take_settled(engine, record.env_id, [&] {
    std::optional<FileLock> lock = layout.try_lock_environment(record.env_id);
    if (!lock) throw Error(ErrorCode::Busy, "there is " + whom, "try again when it has ended");
    return std::move(*lock);
  });
}

LockedEnvironment lock_environment_alone(Engine::Impl& engine, const store::EnvRecord& record,
                                         std::string_view verb, const std::string& holding) {
  const store::StoreLayout& layout = engine.open();
  FileLock shared = layout.lock_shared([&] { engine.wait_note("a store-wide operation"); });
  FileLock lock = lock_beside(engine, record, holding);
  EnvironmentView current = reload(layout, record.env_id);
  auto sessions = runtime::lock_out_sessions(layout, record.env_id);
  if (!sessions) {
    current.state = store::EnvState::Running;
    require_not_running(current, verb);
  }
  return {std::move(shared), std::move(lock), std::move(*sessions), std::move(current.record)};
}

LockedEnvironment lock_idle_environment(Engine::Impl& engine, const store::EnvRecord& record,
                                        std::string_view verb) {
  LockedEnvironment locked = lock_environment_alone(engine, record, verb);
  const store::EnvState state = locked.record.state;
  if (state != store::EnvState::Built && state != store::EnvState::Frozen) refuse_state(locked.record, verb);
  opening_upper(*engine.layout, record.env_id,
                [&] { ensure_directory_at(engine.layout->open_dir("env/" + record.env_id), "upper", 0755); });
  return locked;
}

CommitResult commit_locked(Engine::Impl& engine, LockedEnvironment& locked, const CommitRequest& request) {
  const store::StoreLayout& layout = *engine.layout;
  const std::string top = store::layer_stack(locked.record).back();
  engine.ensure_trees({top}, locked.record.ownership);
  CommitResult result;
  result.head = locked.record.head;
  if (is_upper_clean(layout, locked.record)) return result;

  with_operation(engine, locked, store::OpKind::Commit, [&](store::Operation& operation) {
    engine.progress.step("read", "what was written");
    const store::CommitPreparation prepared = without_obstacles([&] {
      return worker_for(layout, locked.record)
          .prepare_commit(locked.record.env_id, top, operation.staging_path(), engine.progress,
                          engine.cancel);
    });
    if (!prepared.changed) return;
    const store::SnapshotRecord snapshot = make_snapshot(locked.record, prepared, request);
    store::EnvRecord record = locked.record;
    record.snapshot_layers.push_back(snapshot.layer);
    record.head = snapshot.id;
    record.updated_at = snapshot.created_at;
    store::stage_layer_record(operation.staging(), make_layer_record(prepared, record.ownership));
    engine.progress.step("seal", {});
    engine.cancel.check();
    store::carry_out_switch(layout, operation,
                            {.env_id = record.env_id,
                             .updated_at = record.updated_at,
                             .snapshot = snapshot.id,
                             .layer = prepared.hash,
                             .mtimes = prepared.mtimes,
                             .upper_inode = prepared.upper_inode,
                             .flat = is_flat(record)},
                            snapshot, record, engine.switch_finisher());
    locked.record = std::move(record);
    result.changed = true;
    result.snapshot = snapshot;
    result.head = snapshot.id;
  });
  return result;
}

void replace_upper(Engine::Impl& engine, LockedEnvironment& locked, store::EnvRecord record) {
  const store::StoreLayout& layout = *engine.layout;
  const bool flat = is_flat(record);
  with_operation(engine, locked, store::OpKind::Restore, [&](store::Operation& operation) {
    const std::string top = store::layer_stack(record).back();
    worker_for(layout, record).stage_fresh_upper(top, operation.staging_path(), engine.cancel);
    const auto upper = stat_at(layout.open_dir("env/" + record.env_id), "upper");
    KARAPACE_ASSERT(upper.has_value());
    engine.cancel.check();
    store::carry_out_switch(layout, operation,
                            {.env_id = record.env_id,
                             .updated_at = record.updated_at,
                             .snapshot = std::nullopt,
                             .layer = std::nullopt,
                             .mtimes = {},
                             .upper_inode = upper->st_ino,
                             .flat = flat},
                            std::nullopt, record, engine.switch_finisher());
    locked.record = std::move(record);
  });
}

}  // namespace karapace::core
