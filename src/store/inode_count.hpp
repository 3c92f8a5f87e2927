// SPDX-License-Identifier: Apache-2.0
// What removing some names gives back: an inode counts when its last name goes.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <vector>

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

/// Inodes by any of their names, in little room: a list that is sorted, and the names of each inode counted
/// together, whenever it has doubled.
class InodeList {
 public:
  void add(const LinkedInode& inode);
  /// Each once.
  [[nodiscard]] const std::vector<LinkedInode>& merged();
  [[nodiscard]] std::vector<LinkedInode> take();

 private:
  std::vector<LinkedInode> inodes_;
  std::size_t merge_at_ = 4096;
};

class InodeCount {
 public:
  void add(const struct stat& info);
  void add(const TreeSizes& sizes);
  /// Bytes on disk of the inodes all of whose names were added.
  [[nodiscard]] std::uint64_t bytes();

 private:
  std::uint64_t own_ = 0;
  InodeList linked_;
};

}  // namespace karapace::store
