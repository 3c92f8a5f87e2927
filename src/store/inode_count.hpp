// SPDX-License-Identifier: Apache-2.0
// What removing some names gives back: an inode counts when its last name goes.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <unordered_map>

#include "karapace/store/tree_sizes.hpp"

namespace karapace::store {

struct InodeKey {
  std::uint64_t device;
  std::uint64_t inode;
  bool operator==(const InodeKey&) const = default;
};
struct InodeKeyHash {
  std::size_t operator()(const InodeKey& key) const noexcept {
    return std::hash<std::uint64_t>()(key.inode) ^ (std::hash<std::uint64_t>()(key.device) << 1);
  }
};

/// As the file system allocates it: not st_size.
[[nodiscard]] std::uint64_t bytes_on_disk(const struct stat& info) noexcept;
/// With one name found.
[[nodiscard]] LinkedInode linked_inode(const struct stat& info) noexcept;
[[nodiscard]] bool may_have_other_names(const struct stat& info) noexcept;

class InodeCount {
 public:
  void add(const struct stat& info);
  void add(const TreeSizes& sizes);
  /// Bytes on disk of the inodes all of whose names were added.
  [[nodiscard]] std::uint64_t bytes() const noexcept;

 private:
  void add(const LinkedInode& inode);

  std::uint64_t own_ = 0;
  std::unordered_map<InodeKey, LinkedInode, InodeKeyHash> linked_;
};

}  // namespace karapace::store
