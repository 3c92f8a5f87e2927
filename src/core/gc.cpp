// SPDX-License-Identifier: Apache-2.0
// gc: the store finds what nothing names; what the locks of environments need, only a reader of locks can
// tell it.

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "impl.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
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

/// How many of these are not there any more.
template <typename Names, typename Text>
std::size_t count_gone(const store::StoreLayout& layout, const char* directory, const Names& names,
                       Text&& text) {
  const UniqueFd dir = layout.open_dir(directory);
  return static_cast<std::size_t>(
      std::ranges::count_if(names, [&](const auto& name) { return !exists_at(dir, text(name)); }));
}

/// A collection that was ended on the way has freed what it has freed.
class GcCancelled : public Cancelled {
 public:
  GcCancelled(const Cancelled& cancelled, std::string message)
      : Cancelled(cancelled), message_(std::move(message)) {}
  [[nodiscard]] const char* what() const noexcept override { return message_.c_str(); }

 private:
  std::string message_;
};

[[noreturn]] void throw_cancelled(const store::StoreLayout& layout, const store::GcPlan& plan,
                                  const Cancelled& cancelled) {
  const auto same = [](const std::string& name) { return name; };
  const std::size_t gone =
      count_gone(layout, "store/builds", plan.builds, same) +
      count_gone(layout, "store/packages", plan.packages, same) +
      count_gone(layout, "store/layers", plan.layers, same) +
      count_gone(layout, "store/downloads", plan.downloads, same) +
      count_gone(layout, "store/objects", plan.objects, [](const Digest& digest) { return digest.hex(); }) +
      count_gone(layout, "trees", plan.trees, same) + count_gone(layout, "env", plan.environments, same) +
      count_gone(layout, ".", plan.leftovers, same);
  throw GcCancelled(cancelled,
                    fmt::format("cancelled: {} of {} are removed, the next karapace gc does the rest", gone,
                                counted(plan.size(), "item")));
}

}  // namespace

GcReport Engine::gc(const GcOptions& options) {
  GcReport report;
  if (!impl_->has_store()) return report;
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
    try {
      report.removed =
          store::apply_gc(layout, report.plan, impl_->tree_remover(), impl_->progress, impl_->cancel);
    } catch (const Cancelled& cancelled) {
      throw_cancelled(layout, report.plan, cancelled);
    }
  }
  return report;
}

}  // namespace karapace::core
