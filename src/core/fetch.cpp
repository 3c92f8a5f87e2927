// SPDX-License-Identifier: Apache-2.0
// fetch: everything that a build needs from the network, ahead of it.

#include <unordered_set>

#include "build.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/remote/fetch.hpp"
#include "karapace/runtime/worker.hpp"
#include "karapace/store/object_store.hpp"
#include "missing_artefacts.hpp"

namespace karapace::core {

FetchResult Build::run_fetch() {
  if (options_.locked) check_locked_sizes();
  begin();
  try {
    if (plan_.resolve_base || plan_.resolve_packages) {
      complete_lock();
    } else {
      lock_ = plan_.lock;
      seal_identity(lock_);
    }
    // Also of layers that are there: they may be removed, and a bundle carries their files.
    fetch_base();
    keep_local_archive();
    fetch(backend_->package_artefacts(lock_.resolved_packages, lock_.repositories));
    save_lock_file();
    operation_->finish(engine_.tree_remover());
  } catch (...) {
    images_.reset();
    operation_.reset();
    engine_.recover();
    throw;
  }
  FetchResult result;
  result.env_id = lock_.env_id;
  result.lock_path = inputs_.lock_path;
  result.lock_changed = lock_changed_;
  std::unordered_set<std::string> seen;
  for (const runtime::Artefact& artefact : all_artefacts(*backend_, lock_)) {
    if (!seen.insert(artefact.sha256).second) continue;
    ++result.files;
    result.bytes += artefact.size;
  }
  result.downloaded_files = downloaded_files_;
  result.downloaded_bytes = downloaded_bytes_;
  progress_.finish();
  return result;
}

/// So that the archive may go, and a bundle can carry it.
void Build::keep_local_archive() {
  if (lock_.base.provider != BaseProvider::Tar || !lock_.base.url.empty()) return;
  if (store::PackageStore(*engine_.layout).contains(lock_.base.sha256)) return;
  const auto image = runtime::parse_image(inputs_.manifest.base_image, inputs_.manifest_directory);
  const UniqueFd archive = open_path(image.path, O_RDONLY);
  runtime::TreeWorker(*engine_.layout, Ownership::Flat)
      .read_bundle(archive, 0, {{lock_.base.sha256, lock_.base.size, image.display_name}},
                   operation_->staging_path(), progress_, engine_.cancel);
  remote::adopt_files(*engine_.layout, operation_->staging(), {lock_.base.sha256});
}

FetchResult Engine::fetch(const std::string& manifest_path, const BuildOptions& options) {
  const store::StoreLayout* layout = impl_->layout ? &*impl_->layout : nullptr;
  return Build(*impl_, options, read_build_inputs(manifest_path, options, impl_->root, layout)).run_fetch();
}

}  // namespace karapace::core
