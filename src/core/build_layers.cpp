// SPDX-License-Identifier: Apache-2.0
// Making sure that the layers of a lock are in the store: already there, known from an earlier build, or
// built now.

#include <fmt/format.h>

#include "build.hpp"
#include "karapace/remote/fetch.hpp"
#include "karapace/runtime/sandbox.hpp"
#include "karapace/runtime/worker.hpp"
#include "karapace/store/layer.hpp"
#include "karapace/store/object_store.hpp"

namespace karapace::core {

void Build::ensure_base() {
  if (layer_ready(lock_.base_image_digest)) return;
  const Digest key = backend_->base_key(lock_.base, lock_.arch, lock_.ownership);
  store::BuildCache cache(*engine_.layout);
  if (const auto known = cache.find(key); known && layer_ready(known->hex())) {
    check_reproduced("base", lock_.base_image_digest, *known);
    lock_.base_image_digest = known->hex();
    return;
  }
  fetch(backend_->base_artefacts(lock_.base, lock_.repositories));
  auto build = context();
  const Digest layer = backend_->build_base(build, lock_.base, lock_.repositories);
  check_reproduced("base", lock_.base_image_digest, layer);
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
    check_reproduced("package", lock_.dependency_layer, *known);
    lock_.dependency_layer = known->hex();
    return;
  }
  fetch(backend_->package_artefacts(lock_.resolved_packages, lock_.repositories));
  auto build = context();
  const Digest layer = backend_->build_dependencies(build, base, lock_.resolved_packages);
  check_reproduced("package", lock_.dependency_layer, layer);
  cache.put(key, layer);
  lock_.dependency_layer = layer.hex();
}

bool Build::layer_ready(const std::string& digest) {
  if (digest.empty()) return false;
  const Digest layer = Digest::parse(digest);
  const store::LayerStore layers(*engine_.layout);
  if (layers.is_laid_out(layer)) return true;
  if (!layers.find(layer)) return false;
  // The record and its objects are here, only the tree is not.
  runtime::TreeWorker(*engine_.layout, lock_.ownership).ensure_tree(layer, progress_, engine_.cancel);
  return true;
}

void Build::check_reproduced(std::string_view what, const std::string& expected, const Digest& found) const {
  if (expected.empty() || expected == found.hex()) return;
  throw Error(ErrorCode::Conflict,
              fmt::format("the {} layer built from {} differs from the one it pins: expected {}, got {}",
                          what, inputs_.lock_path, expected, found.hex()),
              "somebody's build is not reproducible: compare the two stores, or accept today's with karapace "
              "build --update");
}

void Build::fetch(const std::vector<runtime::Artefact>& artefacts) {
  if (artefacts.empty()) return;
  const store::PackageStore packages(*engine_.layout);
  std::vector<remote::Download> missing;
  for (const auto& artefact : artefacts) {
    if (!packages.contains(artefact.sha256)) {
      missing.push_back({artefact.label, artefact.url, artefact.sha256, artefact.size});
    }
  }
  if (missing.empty()) return;
  if (options_.offline) {
    throw Error(ErrorCode::InvalidInput,
                fmt::format("offline: {} of {} files are not in the store, the first is {}", missing.size(),
                            artefacts.size(), missing.front().label),
                "build once with network");
  }
  const auto report = remote::fetch_all(*engine_.layout, missing, remote::FetchOptions{}, progress_,
                                        engine_.cancel, runtime::find_helper("karapace-fetch"));
  downloaded_bytes_ += report.bytes;
  downloaded_files_ += report.fetched;
}

}  // namespace karapace::core
