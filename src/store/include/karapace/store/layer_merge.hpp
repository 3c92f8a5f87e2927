// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "karapace/store/layer.hpp"

namespace karapace::store {

/// The one layer that shows and hides what `upper` on `lower` does, whatever lies below. Both are sorted, and
/// so is the result; times come along.
[[nodiscard]] std::vector<IndexEntry> merge_layers(const std::vector<IndexEntry>& lower,
                                                   const std::vector<IndexEntry>& upper);
/// What a layer with nothing below it shows: without whiteouts and marks.
[[nodiscard]] std::vector<IndexEntry> visible_tree(std::vector<IndexEntry> layer);

}  // namespace karapace::store
