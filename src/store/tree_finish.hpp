// SPDX-License-Identifier: Apache-2.0
// The end of a commit: a tree whose index is known becomes the layer that its index says.
#pragma once

#include <cstdint>
#include <vector>

#include "karapace/base/cancel.hpp"
#include "karapace/base/progress.hpp"
#include "karapace/base/unique_fd.hpp"
#include "karapace/store/layer.hpp"

namespace karapace::store {

struct KnownTree {
  std::vector<IndexEntry> entries;  // its index with the times
  std::vector<std::uint32_t>
      noted;           // positions of files and directories with attributes that are to go; sorted
  bool begun = false;  // an earlier try may have died in the middle
};

/// Like seal_tree, but nothing is read again. A file that is not what the index says any more, because
/// somebody outside wrote to it, is left as it is: verification tells. May be repeated.
void finish_tree(FdRef tree, FdRef objects, const KnownTree& known, bool flat, ProgressSink& progress,
                 const CancelToken& cancel);

/// Gives the store the objects of a sealed tree that it does not have.
void link_missing_objects(FdRef tree, FdRef objects, const std::vector<IndexEntry>& entries, bool flat);

}  // namespace karapace::store
