// SPDX-License-Identifier: Apache-2.0
// Making sure that the layers of a lock are in the store: already there, known from an earlier build, or
// built now.

#include <fmt/format.h>

#include "build.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "karapace/remote/fetch.hpp"
#include "karapace/runtime/sandbox.hpp"
#include "karapace/runtime/worker.hpp"
#include "karapace/store/layer.hpp"
#include "karapace/store/object_store.hpp"
#include "missing_artefacts.hpp"

namespace karapace::core {

namespace {

constexpr std::size_t kMaxIndex = 1024UL * 1024 * 1024;

std::vector<remote::Download> missing_of(const store::StoreLayout& layout,
                                         const std::vector<runtime::Artefact>& artefacts) {
  const store::PackageStore packages(layout);
  std::vector<remote::Download> missing;
  for (const auto& artefact : artefacts) {
    if (packages.contains(artefact.sha256)) continue;
    missing.push_back(
        {.label = artefact.label, .url = artefact.url, .sha256 = artefact.sha256, .size = artefact.size});
  }
  return missing;
}

std::vector<runtime::Artefact> artefacts_of(const std::vector<remote::Download>& downloads) {
  std::vector<runtime::Artefact> artefacts;
  for (const auto& file : downloads) artefacts.push_back({file.label, file.url, file.sha256, file.size});
  return artefacts;
}

}  // namespace

void Build::ensure_base() {
  if (layer_ready(lock_.base_image_digest)) return;
  const Digest key = backend_->base_key(lock_.base, lock_.arch, lock_.ownership);
  store::BuildCache cache(*engine_.layout);
  if (const auto known = cache.find(key); known && layer_ready(known->hex())) {
    check_reproduced(store::LayerKind::Base, lock_.base_image_digest, *known);
    lock_.base_image_digest = known->hex();
    return;
  }
  const Digest layer = make_layer(store::LayerKind::Base);
  check_reproduced(store::LayerKind::Base, lock_.base_image_digest, layer);
  cache.put(key, layer);
  lock_.base_image_digest = layer.hex();
}

void Build::ensure_dependencies() {
  if (lock_.resolved_packages.empty()) {
    lock_.dependency_layer.clear();
    return;
  }
  if (layer_ready(lock_.dependency_layer)) return;
  const Digest base = Digest::parse(lock_.base_image_digest);
  const Digest key = backend_->dependency_key(base, lock_.resolved_packages, lock_.ownership);
  store::BuildCache cache(*engine_.layout);
  if (const auto known = cache.find(key); known && layer_ready(known->hex())) {
    check_reproduced(store::LayerKind::Dependency, lock_.dependency_layer, *known);
    lock_.dependency_layer = known->hex();
    return;
  }
  const Digest layer = make_layer(store::LayerKind::Dependency);
  check_reproduced(store::LayerKind::Dependency, lock_.dependency_layer, layer);
  cache.put(key, layer);
  lock_.dependency_layer = layer.hex();
}

Digest Build::make_layer(store::LayerKind kind, std::string* index_only) {
  if (kind == store::LayerKind::Base) {
    fetch_base();
  } else {
    fetch(backend_->package_artefacts(lock_.resolved_packages, lock_.repositories));
  }
  auto build = context();
  build.index_only = index_only;
  if (kind == store::LayerKind::Base) return backend_->build_base(build, lock_.base, lock_.repositories);
  return backend_->build_dependencies(build, Digest::parse(lock_.base_image_digest), lock_.resolved_packages);
}

template <typename Body>
void Build::in_operation(Body&& body) {
  const store::StoreLayout& layout = *engine_.layout;
  lock_ = *inputs_.old_lock;
  operation_ = store::Operation::begin(layout, store::OpKind::Build, lock_.env_id, {});
  images_.emplace(layout, *operation_, runtime::host_architecture(), progress_, engine_.cancel);
  try {
    body();
    images_.reset();
    operation_->finish(engine_.tree_remover());
  } catch (...) {
    images_.reset();
    operation_->undo_now(engine_.tree_remover());
    throw;
  }
}

void Build::build_layer_again(const std::string& layer) {
  in_operation([&] {
    const auto kind =
        lock_.base_image_digest == layer ? store::LayerKind::Base : store::LayerKind::Dependency;
    check_reproduced(kind, layer, make_layer(kind));
  });
}

DescribedLayer Build::describe_layer(store::LayerKind kind, const Look& look) {
  DescribedLayer layer;
  in_operation([&] {
    std::string path;
    layer.hash = make_layer(kind, &path);
    layer.index = read_file_at(engine_.layout->root(), path, kMaxIndex);
    constexpr std::string_view kSuffix = ".index";
    if (look) look(layer, path.substr(0, path.size() - kSuffix.size()));
  });
  return layer;
}

bool Build::layer_ready(const std::string& digest) {
  if (digest.empty()) return false;
  const Digest layer = Digest::parse(digest);
  const store::LayerStore layers(*engine_.layout);
  if (layers.is_laid_out(layer)) return true;
  if (!layers.find(layer)) return false;
  // The record and its objects are here, only the tree is not.
  progress_.quiet_step("lay out");
  runtime::TreeWorker(*engine_.layout, lock_.ownership).ensure_tree(layer, progress_, engine_.cancel);
  return true;
}

void Build::fetch(const std::vector<runtime::Artefact>& artefacts) {
  if (artefacts.empty()) return;
  download(missing_of(*engine_.layout, artefacts));
}

void Build::fetch_base() {
  const auto artefacts = backend_->base_artefacts(lock_.base, lock_.repositories);
  download(missing_of(*engine_.layout, artefacts));
  if (lock_.base.files.empty()) return;
  const auto image = runtime::parse_image(inputs_.manifest.base_image, inputs_.manifest_directory,
                                          provider_if_kept(lock_.base, &*engine_.layout));
  images_->import(image, lock_.base);
  images_->check(lock_.base, inputs_.manifest.base_image);
}

void Build::download(const std::vector<remote::Download>& missing) {
  if (missing.empty()) return;
  // What could be known before was told by check_offline.
  if (options_.offline)
    throw MissingArtefacts(ErrorCode::InvalidInput, "offline", artefacts_of(missing), how_to_fetch());
  try {
    const auto report = images_->registries().fetch(*engine_.layout, inputs_.manifest.base_image, lock_.base,
                                                    missing, progress_);
    downloaded_bytes_ += report.bytes;
    downloaded_files_ += report.fetched;
  } catch (const Error& error) {
    // Whoever builds in a closed network wants to know all that is missing, not one after the other.
    auto left = not_in_store(artefacts_of(missing), &*engine_.layout);
    if (!options_.locked || error.code() == ErrorCode::NoSpace || left.size() < 2) throw;
    throw MissingArtefacts(error.code(), error.message(), std::move(left), error.fix());
  }
}

void Build::check_offline() const {
  if (plan_.resolve_base || plan_.resolve_packages) return;
  const store::StoreLayout* layout = engine_.layout ? &*engine_.layout : nullptr;
  auto missing = not_in_store(needed_artefacts(*backend_, plan_.lock, layout), layout);
  if (missing.empty()) return;
  throw MissingArtefacts(ErrorCode::InvalidInput, "offline", std::move(missing), how_to_fetch());
}

std::string Build::how_to_fetch() const {
  return fmt::format("with network: karapace fetch --locked {}", printable(inputs_.manifest_path, 4096));
}

}  // namespace karapace::core
