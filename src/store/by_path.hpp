// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <unordered_map>
#include <vector>

#include "karapace/store/layer.hpp"

namespace karapace::store {

/// Looks into the entries that it was made of.
using ByPath = std::unordered_map<std::string_view, const IndexEntry*>;

[[nodiscard]] inline ByPath by_path(const std::vector<IndexEntry>& entries) {
  ByPath result;
  result.reserve(entries.size());
  for (const IndexEntry& entry : entries) result.emplace(entry.path, &entry);
  return result;
}

}  // namespace karapace::store
