// SPDX-License-Identifier: Apache-2.0
// Healing what verify_store found, from what the store has twice.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "karapace/base/cancel.hpp"
#include "karapace/base/progress.hpp"
#include "karapace/store/integrity.hpp"
#include "karapace/store/layout.hpp"
#include "karapace/store/wal.hpp"

namespace karapace::store {

/// What the store cannot do itself. Empty ones heal nothing.
struct RepairSources {
  /// Makes trees/<layer>, which is not there, from index and objects.
  std::function<void(const LayerRecord& layer)> lay_out_tree;
  /// Fetches the artefact anew if somebody knows where from. False: nobody does, nothing was changed.
  std::function<bool(const std::string& sha256)> fetch_package;
  TreeRemover remove_tree;
};
struct Repaired {
  std::string kind;
  std::string hash;
  std::string how;
};
/// Under the exclusive store lock. A replacement is checked before it takes a name, and nothing is removed
/// without one, but build records, which cost only time. What is in use by a session stays as it is. One
/// fault may hide another, so verify again afterwards.
[[nodiscard]] std::vector<Repaired> repair_store(const StoreLayout& layout, const IntegrityReport& report,
                                                 const RepairSources& sources, ProgressSink& progress,
                                                 const CancelToken& cancel);

}  // namespace karapace::store
