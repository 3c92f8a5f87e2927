// SPDX-License-Identifier: Apache-2.0
// Collecting what nothing names any more: first a plan that looks and changes nothing, then the removals.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "karapace/base/cancel.hpp"
#include "karapace/base/digest.hpp"
#include "karapace/base/progress.hpp"
#include "karapace/store/layout.hpp"
#include "karapace/store/tree_sizes.hpp"
#include "karapace/store/wal.hpp"

namespace karapace::store {

/// Roots that the store cannot find itself, because it knows no lock file.
struct GcRoots {
  std::set<std::string> packages;  // sha256 of the artefacts that locks in records name
  /// A lock could not be read, so every artefact may be needed: why.
  std::string all_packages_because;
  /// Also what a user wrote in environments whose record is gone.
  bool discard_lost = false;
  InsideSizes inside;  // for what only a user namespace may look at
};

/// Why something is kept that may be unreferenced.
struct GcHold {
  std::string what;  // "store/metadata/<env_id>"
  std::string reason;
  std::string fix;
  bool damage = false;  // the store is damaged, as opposed to: somebody is at work
  bool itself = false;  // it is kept itself, as opposed to: what it may need
};

/// Names only. What is in `bytes` is given back when all of it is removed: inodes that have no other name.
struct GcPlan {
  std::vector<std::string> environments;  // env ids: directory or snapshots without a record
  std::vector<std::string> builds;
  std::vector<std::string> packages;
  std::vector<std::string> downloads;  // parts that nobody will continue
  std::vector<std::string> layers;
  std::vector<std::string> trees;
  std::vector<Digest> objects;
  std::vector<std::string> leftovers;  // of crashes: paths relative to the store root
  std::uint64_t bytes = 0;
  std::vector<GcHold> holds;
  [[nodiscard]] std::size_t size() const noexcept;
};

/// Whatever cannot be proven unreferenced is kept: a record, a snapshot or a journal entry that cannot be
/// read may name anything, a live layer without a readable index may need any object. For a plan that is to
/// be applied the caller holds the store lock exclusively; without it the plan is only a look. Works on a
/// read-only store.
[[nodiscard]] GcPlan plan_gc(const StoreLayout& layout, const GcRoots& roots, ProgressSink& progress,
                             const CancelToken& cancel);

/// Which trees such a plan would have, and nothing else of it: contents and sizes are not looked at.
[[nodiscard]] std::vector<std::string> plan_gc_of_trees(const StoreLayout& layout, ProgressSink& progress,
                                                        const CancelToken& cancel);

struct GcFailure {
  std::string what;
  std::string reason;
};
struct GcResult {
  std::size_t environments = 0, builds = 0, packages = 0, downloads = 0, layers = 0, trees = 0, objects = 0,
              leftovers = 0;
  std::vector<GcFailure> failures;  // stays where it is; the next run tries again
};
/// Under the exclusive store lock that the plan was made under. References go before what they refer to, each
/// class is synced before the next, and every single step leaves a valid store: it may be cancelled between
/// any two of them, and needs neither a journal entry nor free space. A tree or environment is renamed first,
/// so that no half of it is ever taken for a whole.
GcResult apply_gc(const StoreLayout& layout, const GcPlan& plan, const TreeRemover& remove_tree,
                  ProgressSink& progress, const CancelToken& cancel);

}  // namespace karapace::store
