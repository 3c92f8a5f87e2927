// SPDX-License-Identifier: Apache-2.0
// gc: the store finds what nothing names; what the locks of environments need, only a reader of locks can
// tell it.

#include <fmt/format.h>

#include "impl.hpp"
#include "karapace/core/engine.hpp"

namespace karapace::core {
namespace {

store::GcRoots find_roots(const store::StoreLayout& layout, CancelToken& cancel) {
  store::GcRoots roots;
  roots.inside = inside_sizes(layout, cancel);
  for (const store::EnvRecord& record : store::MetadataStore(layout).list().records) {
    try {
      if (const std::optional<LockFile> lock = lock_of(layout, record))
        roots.packages.merge(packages_of(*lock));
    } catch (const Error& error) {
      roots.all_packages_because =
          fmt::format("the lock of environment {} cannot be read: {}", record.short_id, error.message());
    }
  }
  return roots;
}

}  // namespace

GcReport Engine::gc(const GcOptions& options) {
  GcReport report;
  if (!impl_->layout) return report;
  const store::StoreLayout& layout = *impl_->layout;
  std::optional<FileLock> lock;
  if (options.mode == GcMode::Collect) {
    lock = layout.lock_exclusive([&] { impl_->wait_note("commands that are using the store"); });
    // Whoever died while we waited.
    impl_->recover();
  }
  store::GcRoots roots = find_roots(layout, impl_->cancel);
  roots.discard_lost = options.discard_lost;
  report.plan = store::plan_gc(layout, roots, impl_->progress, impl_->cancel);
  if (options.mode == GcMode::Collect) {
    report.removed =
        store::apply_gc(layout, report.plan, impl_->tree_remover(), impl_->progress, impl_->cancel);
  }
  return report;
}

}  // namespace karapace::core
