// SPDX-License-Identifier: Apache-2.0
// What an environment occupies on disk: for itself, and together with others.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "karapace/base/cancel.hpp"
#include "karapace/store/layout.hpp"
#include "karapace/store/metadata.hpp"
#include "karapace/store/tree_sizes.hpp"

namespace karapace::store {

/// Blocks on disk, each inode once, in bytes.
struct DiskUse {
  std::uint64_t exclusive = 0;  // given back when the environment is destroyed and gc has run
  std::uint64_t shared = 0;     // of what else it uses: others use it, too
  bool operator==(const DiskUse&) const = default;
};

struct DiskUseQuestion {
  /// sha256 of the artefacts that the locks of environments name, by env id.
  std::map<std::string, std::set<std::string>> packages;
  /// A lock could not be read: every artefact may be needed by somebody.
  bool all_packages = false;
  std::string only;  // this environment alone; empty: all
  InsideSizes inside;
};

/// By env id; nothing for an environment of which something cannot be looked at. Takes no lock and changes
/// nothing.
///
/// Reads the index of every layer, and stats: each object, of each tree what is no object (directories,
/// links, copies), what lies in env/. A file of a tree is only looked at where the number of links of its
/// object does not say that they are one.
///
/// Where gc would keep something because of damage (see plan_gc) it counts as shared.
[[nodiscard]] std::map<std::string, std::optional<DiskUse>> measure_disk_use(const StoreLayout& layout,
                                                                             const DiskUseQuestion& question,
                                                                             const CancelToken& cancel);

}  // namespace karapace::store
