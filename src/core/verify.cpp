// SPDX-License-Identifier: Apache-2.0
// verify-store. The store compares; what belongs to subordinate ids is for the worker, and whom an artefact
// belongs to only a lock can tell.

#include "impl.hpp"
#include "karapace/core/engine.hpp"
#include "karapace/runtime/worker.hpp"
#include "karapace/store/no_store.hpp"

namespace karapace::core {
namespace {

bool names_package(const store::StoreLayout& layout, const store::EnvRecord& record,
                   const std::string& sha256) {
  try {
    const std::optional<LockFile> lock = lock_of(layout, record);
    return lock && packages_of(*lock).contains(sha256);
  } catch (const Error&) {
    return false;  // a fault of its own
  }
}

store::InsideChecks inside_checks(const store::StoreLayout& layout, CancelToken& cancel) {
  return {.objects =
              [&](const std::vector<Digest>& objects) {
                return runtime::TreeWorker(layout, Ownership::Mapped).object_faults(objects, cancel);
              },
          .package_users =
              [&](const std::string& sha256) {
                std::vector<std::string> users;
                for (const store::EnvRecord& record : store::MetadataStore(layout).list().records) {
                  if (names_package(layout, record, sha256)) users.push_back(record.env_id);
                }
                return users;
              },
          .tree =
              [&](const store::LayerRecord& layer) {
                const Ownership ownership = layer.ownership == "mapped" ? Ownership::Mapped : Ownership::Flat;
                return runtime::TreeWorker(layout, ownership).tree_faults(layer, cancel);
              }};
}

}  // namespace

store::IntegrityReport verify_locked_store(Engine::Impl& engine) {
  return store::verify_store(*engine.layout, engine.progress, engine.cancel,
                             inside_checks(*engine.layout, engine.cancel));
}

store::IntegrityReport Engine::verify_store() {
  if (!impl_->layout) store::throw_no_store(impl_->root);
  // gc must not take away what was just listed. Whoever adds or changes something is let.
  const auto shared = impl_->layout->lock_shared([&] { impl_->wait_note("a store-wide operation"); });
  return verify_locked_store(*impl_);
}

}  // namespace karapace::core
