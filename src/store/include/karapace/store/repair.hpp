// SPDX-License-Identifier: Apache-2.0
// Healing what verify_store found, from what the store has twice.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "karapace/base/cancel.hpp"
#include "karapace/base/progress.hpp"
#include "karapace/store/integrity.hpp"
#include "karapace/store/layout.hpp"
#include "karapace/store/wal.hpp"

namespace karapace::store {

/// A tree as it is.
struct TreeScan {
  std::string index;
  std::string mtimes;
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
};
[[nodiscard]] TreeScan read_tree(FdRef tree, bool flat, const CancelToken& cancel);
/// From the start of `source` to the empty `target`, holes included.
void copy_file_contents(FdRef source, FdRef target);

/// What the store cannot do itself. Empty ones heal nothing.
struct RepairSources {
  /// As read_tree for a mapped trees/<layer>, inside the user namespace that owns it.
  std::function<TreeScan(const std::string& layer)> read_mapped_tree;
  /// The bytes of a file that is closed to us, by a path relative to the store's root, into an open file.
  std::function<void(const std::string& path, FdRef target)> copy_closed_file;
  /// Bytes that may be had from outside the store (a manifest, a lock); the store checks that they are right.
  std::function<std::optional<std::string>(const Digest& object)> find_text;
  /// Builds the layer anew from the artefacts that a lock names, which makes its objects good again. False:
  /// no lock tells how.
  std::function<bool(const std::string& layer)> build_layer;
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
