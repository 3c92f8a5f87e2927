// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "karapace/store/layer.hpp"

namespace karapace::store {

/// The one layer that shows and hides what `upper` on `lower` does, whatever lies below. Both are sorted, and
/// so is the result; times come along. Entries are moved, and the larger of both stays where it is if it has
/// room for the other (read_index).
[[nodiscard]] std::vector<IndexEntry> merge_layers(std::vector<IndexEntry> lower,
                                                   std::vector<IndexEntry> upper);
/// The layer without the whiteouts that hide nothing of what lies below it. `next_below` gives the entries of
/// the layers below, the topmost first, and nothing when there are no more. A directory that no layer below
/// has is shown by the kernel as it is, with its whiteouts as names that cannot be looked up
/// (fs/overlayfs/readdir.c filters only merged directories), so a merged layer must not keep them.
[[nodiscard]] std::vector<IndexEntry> drop_idle_whiteouts(
    std::vector<IndexEntry> layer, const std::function<std::optional<std::vector<IndexEntry>>()>& next_below);
/// What a layer with nothing below it shows: without whiteouts and marks.
[[nodiscard]] std::vector<IndexEntry> visible_tree(std::vector<IndexEntry> layer);

}  // namespace karapace::store
