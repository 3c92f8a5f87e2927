// SPDX-License-Identifier: Apache-2.0
// What removing some names gives back: an inode counts when its last name goes.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <unordered_map>

#include "karapace/base/cancel.hpp"
#include "karapace/base/unique_fd.hpp"

namespace karapace::store {

class InodeCount {
 public:
  void add(const struct stat& info);
  /// `name` in `dir` with everything in it, on its own file system; what cannot be looked at is left out.
  void add_tree(FdRef dir, const std::string& name, const CancelToken& cancel);
  /// Bytes on disk of the inodes all of whose names were added.
  [[nodiscard]] std::uint64_t bytes() const noexcept;

 private:
  struct Key {
    dev_t device;
    ino_t inode;
    bool operator==(const Key&) const = default;
  };
  struct Hash {
    std::size_t operator()(const Key& key) const noexcept;
  };
  struct Shared {
    std::uint64_t names_left;
    std::uint64_t bytes;
  };
  std::uint64_t exclusive_ = 0;
  std::unordered_map<Key, Shared, Hash> shared_;
};

}  // namespace karapace::store
