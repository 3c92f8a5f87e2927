// SPDX-License-Identifier: Apache-2.0
// verify-store --repair. The store heals from what it has twice; what belongs to subordinate ids is for the
// worker, and where an artefact came from, or how a layer was built, only a lock can tell.

#include <fmt/format.h>

#include <functional>

#include "build.hpp"
#include "impl.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/log.hpp"
#include "karapace/core/engine.hpp"
#include "karapace/runtime/backend.hpp"
#include "karapace/runtime/worker.hpp"
#include "karapace/store/no_store.hpp"
#include "karapace/store/object_store.hpp"
#include "registry_access.hpp"

namespace karapace::core {
namespace {

constexpr int kMaxRounds =
    5;  // an object, a record of it, the tree that is made of both, then one to see that all is well

std::vector<runtime::Artefact> artefacts_of(const LockFile& lock) {
  const auto backend = runtime::make_backend(lock.runtime_backend);
  std::vector<runtime::Artefact> all = backend->base_artefacts(lock.base, lock.repositories);
  for (auto& artefact : backend->package_artefacts(lock.resolved_packages, lock.repositories))
    all.push_back(std::move(artefact));
  return all;
}

struct Source {
  runtime::Artefact artefact;
  LockFile lock;
};

/// The lock of any environment that names the artefact with its URL.
std::optional<Source> find_source(const store::StoreLayout& layout, const std::string& sha256) {
  for (const store::EnvRecord& record : store::MetadataStore(layout).list().records) {
    try {
      const std::optional<LockFile> lock = lock_of(layout, record);
      if (!lock) continue;
      for (runtime::Artefact& artefact : artefacts_of(*lock)) {
        if (artefact.sha256 == sha256 && !artefact.url.empty()) return Source{std::move(artefact), *lock};
      }
    } catch (const Error& error) {
      log::debug("the lock of {} tells no source: {}", record.short_id, error.what());
    }
  }
  return std::nullopt;
}

bool fetch_again(Engine::Impl& engine, const std::string& sha256) {
  const store::StoreLayout& layout = *engine.layout;
  const auto source = find_source(layout, sha256);
  if (!source) return false;
  // The name goes aside, because what the store has is not fetched; it comes back if that fails.
  const UniqueFd packages = layout.open_dir("store/packages");
  const std::string aside = ".tmp-" + sha256;
  const bool had_it =
      exists_at(packages, sha256) && rename_at(packages, sha256, packages, aside, Replace::Yes);
  try {
    const runtime::Artefact& artefact = source->artefact;
    RegistryAccess(engine.cancel)
        .fetch(layout, source->lock.base_image, source->lock.base,
               {{.label = artefact.label,
                 .url = artefact.url,
                 .sha256 = artefact.sha256,
                 .size = artefact.size}},
               engine.progress);
  } catch (...) {
    if (had_it) rename_at(packages, aside, packages, sha256, Replace::No);
    throw;
  }
  try_unlink_at(packages, aside);
  return true;
}

/// What an environment was built from may still lie where it was built.
std::optional<std::string> find_text(const store::StoreLayout& layout, const Digest& object) {
  for (const store::EnvRecord& record : store::MetadataStore(layout).list().records) {
    try {
      if (record.manifest_hash == object.hex())
        return manifest_canonical_json(load_manifest(record.manifest_path));
      if (record.lock_hash != object.hex()) continue;
      if (const auto lock = load_lock(lock_path_for(record.manifest_path))) return serialize_lock(*lock);
    } catch (const Error& error) {
      log::debug("{} is no source: {}", record.manifest_path, error.what());
    }
  }
  return std::nullopt;
}

/// By the lock of any environment that has it as base or packages.
bool build_layer(Engine::Impl& engine, const std::string& layer) {
  const store::StoreLayout& layout = *engine.layout;
  for (const store::EnvRecord& record : store::MetadataStore(layout).list().records) {
    try {
      const std::optional<LockFile> lock = lock_of(layout, record);
      if (!lock || (lock->base_image_digest != layer && lock->dependency_layer != layer)) continue;
      const BuildOptions options{.name = {}, .locked = true, .update_packages = {}};
      Build(engine, options, recorded_inputs(layout, record, *lock)).build_layer_again(layer);
      return true;
    } catch (const Error& error) {
      engine.progress.note(
          fmt::format("layer {} could not be built again: {}", layer.substr(0, 12), error.message()));
    }
  }
  return false;
}

}  // namespace

RepairReport Engine::repair_store() {
  RepairReport result;
  if (!impl_->layout) store::throw_no_store(impl_->root);
  const store::StoreLayout& layout = *impl_->layout;
  const auto lock = layout.lock_exclusive([&] { impl_->wait_note("commands that are using the store"); });
  const store::RepairSources sources{
      .read_mapped_tree =
          [&](const std::string& layer) {
            return runtime::TreeWorker(layout, Ownership::Mapped)
                .read_tree(Digest::parse(layer), impl_->cancel);
          },
      .copy_closed_file =
          [&](const std::string& path, FdRef target) {
            runtime::TreeWorker(layout, Ownership::Mapped).copy_file(path, target, impl_->cancel);
          },
      .find_text = [&](const Digest& object) { return find_text(layout, object); },
      .build_layer = [&](const std::string& layer) { return build_layer(*impl_, layer); },
      .lay_out_tree =
          [&](const store::LayerRecord& layer) {
            const Ownership ownership = layer.ownership == "mapped" ? Ownership::Mapped : Ownership::Flat;
            runtime::TreeWorker(layout, ownership).ensure_tree(layer.hash, impl_->progress, impl_->cancel);
          },
      .fetch_package = [&](const std::string& sha256) { return fetch_again(*impl_, sha256); },
      .remove_tree = impl_->tree_remover()};
  result.left = verify_locked_store(*impl_);
  for (int round = 0; round < kMaxRounds && !result.left.failed.empty(); ++round) {
    auto repaired = store::repair_store(layout, result.left, sources, impl_->progress, impl_->cancel);
    if (repaired.empty()) break;
    for (auto& item : repaired) result.repaired.push_back(std::move(item));
    result.left = verify_locked_store(*impl_);
  }
  return result;
}

}  // namespace karapace::core
