// SPDX-License-Identifier: Apache-2.0
// What a directory occupies on disk, inode by inode.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "karapace/base/cancel.hpp"
#include "karapace/base/unique_fd.hpp"
#include "karapace/store/layout.hpp"

namespace karapace::store {

/// An inode that has, or may have, names elsewhere. A tree has a million of them: they stay small.
struct LinkedInode {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t bytes = 0;  // on disk
  std::uint32_t links = 0;  // names that it has anywhere
  std::uint32_t names = 0;  // of these: names that were found
};
struct TreeSizes {
  std::uint64_t own = 0;            // bytes on disk of directories, and of inodes with one name
  std::vector<LinkedInode> linked;  // each once
};
/// Walks `name` in `dir` on its own file system, following no link; nothing is there: nothing is counted.
/// Throws SystemError (EACCES) where only the user namespace that owns the files may look.
[[nodiscard]] TreeSizes read_tree_sizes(FdRef dir, const std::string& name, const CancelToken& cancel);

/// The same, by a path relative to the store's root, inside the user namespace that owns the files. An empty
/// one: what is closed to us cannot be told.
using InsideSizes = std::function<TreeSizes(const std::string& path)>;
/// Outside if that is allowed, inside otherwise. Throws what neither could do.
[[nodiscard]] TreeSizes sizes_of(const StoreLayout& layout, const std::string& path,
                                 const InsideSizes& inside, const CancelToken& cancel);

}  // namespace karapace::store
