// SPDX-License-Identifier: Apache-2.0
#include "build.hpp"

#include <fmt/format.h>

#include <utility>

#include "karapace/base/durable.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/core/engine.hpp"
#include "karapace/schema/identity.hpp"
#include "karapace/store/layer.hpp"
#include "karapace/store/object_store.hpp"

namespace karapace::core {

Build::Build(Engine::Impl& engine, const BuildOptions& options, BuildInputs inputs)
    : engine_(engine),
      options_(options),
      inputs_(std::move(inputs)),
      plan_(plan_build(inputs_, options)),
      backend_(runtime::make_backend(inputs_.manifest.runtime_backend)),
      progress_(engine.progress) {}

BuildResult Build::run() {
  if (auto done = try_up_to_date()) return std::move(*done);
  begin();
  try {
    complete_lock();
    ensure_dependencies();
    engine_.cancel.check();
    publish();
    operation_->finish(engine_.tree_remover());
  } catch (...) {
    // Undo at once rather than at the next start: a full disk is given back now.
    operation_.reset();
    env_lock_.reset();
    engine_.recover();
    throw;
  }
  return result(false);
}

LockFile Build::run_lock() {
  begin();
  try {
    complete_lock();
    save_lock_file();
    operation_->finish(engine_.tree_remover());
  } catch (...) {
    operation_.reset();
    engine_.recover();
    throw;
  }
  return lock_;
}

void Build::begin() {
  const store::StoreLayout& layout = engine_.open_or_create();
  store_lock_ = layout.lock_shared([&] { engine_.wait_note("a store-wide operation"); });
  // The identity is known only after resolution; until then the manifest's own id names the operation.
  operation_ = store::Operation::begin(layout, store::OpKind::Build,
                                       compute_preliminary_id(inputs_.manifest).str(), {});
}

/// The answer to most builds: everything is there. Takes no lock, writes nothing, starts no program.
std::optional<BuildResult> Build::try_up_to_date() {
  if (plan_.resolve_base || plan_.resolve_packages || !engine_.layout) return std::nullopt;
  lock_ = plan_.lock;
  seal_identity(lock_);
  if (lock_ != *inputs_.old_lock) return std::nullopt;
  const store::StoreLayout& layout = *engine_.layout;
  const auto record = store::MetadataStore(layout).find(lock_.env_id);
  // A frozen or archived environment that is built again is to be used again.
  if (!record || record->state != store::EnvState::Built) return std::nullopt;
  if (inputs_.name && !inputs_.name_is_default && record->name != inputs_.name) return std::nullopt;
  if (inputs_.name_is_default && !record->name && inputs_.name) return std::nullopt;
  if (record->base_layer != lock_.base_image_digest || record->dependency_layers != dependency_layers())
    return std::nullopt;
  const store::LayerStore layers(layout);
  if (!layers.is_laid_out(Digest::parse(record->base_layer))) return std::nullopt;
  for (const auto& digest : record->dependency_layers) {
    if (!layers.is_laid_out(Digest::parse(digest))) return std::nullopt;
  }
  inputs_.name = record->name;
  return result(true);
}

runtime::BuildContext Build::context() {
  return {*engine_.layout, *operation_,   inputs_.manifest, inputs_.manifest_directory,
          progress_,       engine_.cancel};
}

std::vector<std::string> Build::dependency_layers() const {
  if (lock_.dependency_layer.empty()) return {};
  return {lock_.dependency_layer};
}

void Build::save_lock_file() {
  lock_changed_ = !inputs_.old_lock || !(lock_ == *inputs_.old_lock);
  if (!lock_changed_) return;
  if (options_.locked) {
    // The intent was checked before; what can still be new is the digest of a layer nobody had built yet.
    LockFile without_layer = lock_;
    without_layer.dependency_layer = inputs_.old_lock->dependency_layer;
    if (!(without_layer == *inputs_.old_lock)) {
      throw Error(ErrorCode::InvalidInput, fmt::format("--locked: {} would change", inputs_.lock_path));
    }
    lock_changed_ = false;
    return;
  }
  save_lock(inputs_.lock_path, lock_);
}

void Build::publish() {
  const store::StoreLayout& layout = *engine_.layout;
  store::MetadataStore metadata(layout);
  env_lock_ = layout.lock_environment(
      lock_.env_id, [&] { engine_.wait_note(fmt::format("another build of {}", lock_.short_id)); });
  auto existing = metadata.find(lock_.env_id);
  if (!existing) operation_->add_step({store::WalStep::Kind::RemoveEnvironment, lock_.env_id});

  const UniqueFd environment = open_directory(layout.root(), "env/" + lock_.env_id);
  // The merged root directory takes its mode from the upper one: 0700 here would lock everybody out of "/".
  ensure_directory_at(environment, "upper", 0755);
  for (const char* name : {"work", "home", "run"}) ensure_directory_at(environment, name, 0700);
  sync_directory(environment);

  save_lock_file();
  if (inputs_.name) {
    // An earlier environment of this manifest hands its name on, so that `enter NAME` means the newest build.
    if (auto owner = metadata.find_by_name(*inputs_.name); owner && owner->env_id != lock_.env_id) {
      owner->name.reset();
      metadata.put(*owner);
      engine_.progress.note(
          fmt::format("name '{}' moves here from {}, which stays as it is", *inputs_.name, owner->short_id));
    }
  }
  metadata.put(make_record(std::move(existing)));
}

store::EnvRecord Build::make_record(std::optional<store::EnvRecord> existing) {
  store::ObjectStore objects(*engine_.layout);
  const std::string time = format_rfc3339(now());
  store::EnvRecord record = existing ? std::move(*existing) : store::EnvRecord{};
  if (record.created_at.empty()) record.created_at = time;
  if (!record.name || !inputs_.name_is_default) record.name = inputs_.name;
  inputs_.name = record.name;
  record.env_id = lock_.env_id;
  record.short_id = lock_.short_id;
  if (record.state == store::EnvState::Frozen) progress_.note("it was frozen and can be written to again");
  record.state = store::EnvState::Built;
  record.manifest_hash = objects.put(manifest_canonical_json(inputs_.manifest)).hex();
  record.lock_hash = objects.put(serialize_lock(lock_)).hex();
  record.base_layer = lock_.base_image_digest;
  record.dependency_layers = dependency_layers();
  record.ownership = std::string(to_string(lock_.ownership));
  record.manifest_path = inputs_.manifest_path;
  record.updated_at = time;
  return record;
}

BuildResult Build::result(bool up_to_date) {
  BuildResult result;
  result.env_id = lock_.env_id;
  result.short_id = lock_.short_id;
  result.name = inputs_.name;
  result.lock_path = inputs_.lock_path;
  result.up_to_date = up_to_date;
  result.lock_changed = lock_changed_;
  result.downloaded_bytes = downloaded_bytes_;
  result.downloaded_files = downloaded_files_;
  result.base_layer = lock_.base_image_digest;
  result.dependency_layers = dependency_layers();
  result.timings = progress_.finish();
  return result;
}

BuildResult Engine::build(const std::string& manifest_path, const BuildOptions& options) {
  const store::StoreLayout* layout = impl_->layout ? &*impl_->layout : nullptr;
  return Build(*impl_, options, read_build_inputs(manifest_path, options, impl_->root, layout)).run();
}

LockFile Engine::lock(const std::string& manifest_path, const BuildOptions& options) {
  const store::StoreLayout* layout = impl_->layout ? &*impl_->layout : nullptr;
  return Build(*impl_, options, read_build_inputs(manifest_path, options, impl_->root, layout)).run_lock();
}

}  // namespace karapace::core
