// SPDX-License-Identifier: Apache-2.0
// init, stop, destroy, rename: small operations on one environment, and what its state allows.

#include <fmt/format.h>

#include <optional>

#include "impl.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/core/engine.hpp"
#include "karapace/runtime/worker.hpp"
#include "karapace/schema/identity.hpp"
#include "karapace/store/object_store.hpp"
#include "karapace/store/snapshot_log.hpp"

namespace karapace::core {
namespace {

/// Nothing on a full disk. Destroying is how space is made there, so it goes on without a log: a crash on the
/// way can then leave files behind that nothing leads to.
std::optional<store::Operation> begin_destroy(const store::StoreLayout& layout, const std::string& env_id) {
  try {
    return store::Operation::begin(layout, store::OpKind::Destroy, env_id,
                                   {{store::WalStep::Kind::FinishDestroy, env_id}});
  } catch (const Error& error) {
    if (error.code() != ErrorCode::NoSpace) throw;
    return std::nullopt;
  }
}

/// With nothing in the log, a record that is gone is the only word of the destroy, so it goes on: a disk that
/// has no room to make the removal durable has it when the files are gone.
void remove_record(const store::StoreLayout& layout, const std::string& env_id, bool logged) {
  store::MetadataStore metadata(layout);
  try {
    metadata.remove(env_id);
  } catch (const Error& error) {
    if (logged || error.code() != ErrorCode::NoSpace || metadata.find(env_id)) throw;
  }
}

}  // namespace

/// The record as it is under the environment's lock: it may have changed since it was looked up.
EnvironmentView reload(const store::StoreLayout& layout, const std::string& env_id) {
  auto record = store::MetadataStore(layout).find(env_id);
  if (!record) {
    throw Error(ErrorCode::NotFound, fmt::format("environment {} was just removed by somebody else",
                                                 env_id.substr(0, EnvId::kShortLength)));
  }
  return make_view(layout, std::move(*record));
}

void require_not_running(const EnvironmentView& environment, std::string_view verb) {
  if (environment.state != store::EnvState::Running) return;
  throw Error(ErrorCode::Conflict,
              fmt::format("cannot {} {}: a session is open in it", verb, environment.record.short_id),
              fmt::format("karapace stop {}", environment.record.short_id));
}

EnvironmentView Engine::init(const std::string& manifest_path) {
  const Manifest manifest = load_manifest(manifest_path);
  store::StoreLayout& layout = impl_->open_or_create();
  const EnvId id = compute_preliminary_id(manifest);
  store::MetadataStore metadata(layout);
  if (auto existing = metadata.find(id.str())) return make_view(layout, std::move(*existing));

  const auto shared = layout.lock_shared([&] { impl_->wait_note("a store-wide operation"); });
  store::EnvRecord record;
  record.env_id = id.str();
  record.short_id = id.short_id();
  record.manifest_hash = store::ObjectStore(layout).put(manifest_canonical_json(manifest)).hex();
  record.created_at = record.updated_at = format_rfc3339(now());
  record.ownership = std::string(to_string(manifest.ownership));
  record.manifest_path = absolute_path(manifest_path);
  metadata.put(record);
  return make_view(layout, std::move(record));
}

runtime::StopResult Engine::stop(const EnvironmentView& environment, std::chrono::milliseconds grace) {
  // No lock: a session holds none either, and stopping must work while anything else waits.
  return runtime::stop_sessions(impl_->open(), environment.record.env_id, grace);
}

void destroy_locked(Engine::Impl& engine, const LockedEnvironment& locked) {
  const store::StoreLayout& layout = *engine.layout;
  const std::string& env_id = locked.record.env_id;
  // Recovery rolls this forward. Unreachable first, bytes last.
  auto operation = begin_destroy(layout, env_id);
  remove_record(layout, env_id, operation.has_value());
  if (!operation) operation = begin_destroy(layout, env_id);  // there may be room for it now
  runtime::remove_tree_any_owner(layout, "env/" + env_id);
  store::SnapshotLog(layout).remove(env_id);
  if (operation) operation->finish(engine.tree_remover());
}

DestroyResult Engine::destroy(const EnvironmentView& environment) {
  // Whoever is about to open a session waits for this, and then finds the environment gone.
  const LockedEnvironment locked = lock_environment_alone(*impl_, environment.record, "destroy");
  destroy_locked(*impl_, locked);
  return {locked.record.env_id, locked.record.name};
}

EnvironmentView Engine::rename(const EnvironmentView& environment, const std::string& new_name) {
  store::check_env_name(new_name);
  const std::string env_id = environment.record.env_id;
  store::StoreLayout& layout = impl_->open();
  const auto shared = layout.lock_shared([&] { impl_->wait_note("a store-wide operation"); });
  const auto lock = lock_settled(
      *impl_, env_id, fmt::format("another command that is changing {}", environment.record.short_id));
  EnvironmentView current = reload(layout, env_id);
  if (current.record.name != new_name) {
    current.record.name = new_name;
    current.record.updated_at = format_rfc3339(now());
    store::MetadataStore(layout).put(current.record);
  }
  return current;
}

}  // namespace karapace::core
