// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "karapace/base/cancel.hpp"
#include "karapace/base/progress.hpp"
#include "karapace/store/index_stream.hpp"
#include "karapace/store/layer.hpp"
#include "karapace/store/layout.hpp"

namespace karapace::store {

struct IntegrityFault {
  /// "object", "package", "layer", "tree", "metadata", "name", "snapshot", "build", "environment", "wal",
  /// "staging", "directory" (of the store, "." is its root)
  std::string kind;
  std::string hash;  // name of the thing
  std::string reason;
  std::vector<std::string> affects;    // env ids
  std::vector<std::string> snapshots;  // ids of those that cannot be restored as they were
  std::string fix;                     // where there is more to say than --repair
};
/// What nobody could look at, and why.
struct NotChecked {
  std::string what;  // "object <hash>", "tree <hash>", "all that is in the store"
  std::string reason;
  std::string fix;
  std::vector<std::string> affects;  // env ids; of trees only
};
struct IntegrityReport {
  std::uint64_t checked = 0;  // `passed` and `failed` together
  std::uint64_t passed = 0;   // objects, layers, trees, records without a fault
  std::uint64_t objects_checked = 0, layers_checked = 0, trees_checked = 0, metadata_checked = 0;
  std::vector<IntegrityFault> failed;
  std::vector<NotChecked> unreadable;  // not in `checked`
};
/// What only the user namespace that owns the files can look at. An empty one, or one that throws an Error:
/// told as unreadable, unless it is CorruptError or a shortage.
struct InsideChecks {
  /// Those of `objects` that are damaged, with the reason.
  std::function<std::vector<std::pair<Digest, std::string>>(const std::vector<Digest>& objects)> objects;
  /// Environments whose locks name the artefact with this sha256.
  std::function<std::vector<std::string>(const std::string& sha256)> package_users;
  /// As find_tree_faults.
  std::function<std::vector<std::string>(const LayerRecord& layer)> tree;
};
/// Re-hashes every object (a thread per processor, at most 8), checks layer records against their index and
/// objects, trees against their index, records against checksum and layers, every cross-reference. Changes
/// nothing. The store may be in use meanwhile: what is added while this runs may go unlooked at, and is no
/// fault. But the caller holds the store lock, shared or exclusively, so that nothing is collected.
[[nodiscard]] IntegrityReport verify_store(const StoreLayout& layout, ProgressSink& progress,
                                           const CancelToken& cancel, const InsideChecks& inside = {});

class ObjectTable;
/// Paths at which `tree` is not what `index` says; at most `limit` of them, sorted. Contents are hashed only
/// where a file is not the inode of its object; of flat trees nothing is looked at but its name where it is
/// one of `seen`. For mapped trees this must run inside the user namespace.
[[nodiscard]] std::vector<std::string> find_tree_faults(FdRef tree, FdRef objects, IndexReader index,
                                                        bool flat, const CancelToken& cancel,
                                                        const ObjectTable* seen = nullptr,
                                                        std::size_t limit = 10);

}  // namespace karapace::store
