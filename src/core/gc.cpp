// SPDX-License-Identifier: Apache-2.0
// gc: the store finds what nothing names; what the locks of environments need, only a reader of locks can
// tell it.

#include <fmt/format.h>

#include "impl.hpp"
#include "karapace/core/engine.hpp"
#include "karapace/schema/lock_file.hpp"
#include "karapace/store/object_store.hpp"

namespace karapace::core {
namespace {

void add_packages(const LockFile& lock, std::set<std::string>& packages) {
  if (!lock.base.sha256.empty()) packages.insert(lock.base.sha256);
  for (const LockedPackage& package : lock.base.packages) packages.insert(package.sha256);
  for (const LockedPackage& package : lock.resolved_packages) packages.insert(package.sha256);
}

store::GcRoots find_roots(const store::StoreLayout& layout) {
  store::GcRoots roots;
  const store::ObjectStore objects(layout);
  for (const store::EnvRecord& record : store::MetadataStore(layout).list().records) {
    if (record.lock_hash.empty()) continue;
    try {
      add_packages(parse_lock(objects.load(Digest::parse(record.lock_hash), kMaxLockBytes), "lock"),
                   roots.packages);
    } catch (const Error& error) {
      roots.all_packages_because =
          fmt::format("the lock of environment {} cannot be read: {}", record.short_id, error.message());
    }
  }
  return roots;
}

}  // namespace

GcReport Engine::gc(GcMode mode) {
  GcReport report;
  if (!impl_->layout) return report;
  const store::StoreLayout& layout = *impl_->layout;
  std::optional<FileLock> lock;
  if (mode == GcMode::Collect) {
    lock = layout.lock_exclusive([&] { impl_->wait_note("commands that are using the store"); });
    // Whoever died while we waited.
    impl_->recover();
  }
  report.plan = store::plan_gc(layout, find_roots(layout), impl_->progress, impl_->cancel);
  if (mode == GcMode::Collect) {
    report.removed =
        store::apply_gc(layout, report.plan, impl_->tree_remover(), impl_->progress, impl_->cancel);
  }
  return report;
}

}  // namespace karapace::core
