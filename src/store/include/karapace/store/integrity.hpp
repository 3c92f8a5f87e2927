// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "karapace/base/cancel.hpp"
#include "karapace/base/progress.hpp"
#include "karapace/store/layout.hpp"

namespace karapace::store {

struct IntegrityFault {
  std::string kind;    // "object", "layer", "tree", "metadata", "wal", "staging"
  std::string hash;    // name of the thing
  std::string reason;
  std::vector<std::string> affects;  // env ids
};
struct IntegrityReport {
  std::uint64_t checked = 0;  // objects, layers, records together
  std::uint64_t passed = 0;
  std::uint64_t objects_checked = 0, layers_checked = 0, trees_checked = 0, metadata_checked = 0;
  std::vector<IntegrityFault> failed;
};
/// Re-hashes every object (2 threads), checks layer records against their index, trees for presence, records against checksum
/// and layers, every cross-reference. Changes nothing. Files of subordinate ids that the caller may not read are reported
/// through `unreadable` (the worker checks them).
[[nodiscard]] IntegrityReport verify_store(const StoreLayout& layout, ProgressSink& progress, const CancelToken& cancel);

}  // namespace karapace::store
