// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "karapace/store/layer.hpp"

namespace karapace::store {

/// The one layer that shows and hides what `upper` on `lower` does, whatever lies below. Both are sorted, and
/// so is the result; times come along. Entries are moved, and the larger of both stays where it is if it has
/// room for the other (read_index).
[[nodiscard]] std::vector<IndexEntry> merge_layers(std::vector<IndexEntry> lower,
                                                   std::vector<IndexEntry> upper);
/// What a layer with nothing below it shows: without whiteouts and marks.
[[nodiscard]] std::vector<IndexEntry> visible_tree(std::vector<IndexEntry> layer);

}  // namespace karapace::store
