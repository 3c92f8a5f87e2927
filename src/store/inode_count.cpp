// SPDX-License-Identifier: Apache-2.0
#include "inode_count.hpp"

#include <fcntl.h>

#include <functional>
#include <vector>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"

namespace karapace::store {
namespace {

constexpr std::uint64_t kBlock = 512;  // the unit of st_blocks, whatever the file system

}  // namespace

std::size_t InodeCount::Hash::operator()(const Key& key) const noexcept {
  return std::hash<std::uint64_t>()(key.inode) ^ (std::hash<std::uint64_t>()(key.device) << 1);
}

void InodeCount::add(const struct stat& info) {
  const std::uint64_t bytes = static_cast<std::uint64_t>(info.st_blocks) * kBlock;
  if (S_ISDIR(info.st_mode) || info.st_nlink <= 1) {
    exclusive_ += bytes;
    return;
  }
  const auto [found, added] =
      shared_.try_emplace(Key{info.st_dev, info.st_ino}, Shared{info.st_nlink, bytes});
  if (found->second.names_left > 0) --found->second.names_left;
}

void InodeCount::add_tree(FdRef dir, const std::string& name, const CancelToken& cancel) {
  const auto top = stat_at(dir, name);
  if (!top) return;
  add(*top);
  if (!S_ISDIR(top->st_mode)) return;
  std::vector<std::string> left = {name};
  while (!left.empty()) {
    cancel.check();
    const std::string path = std::move(left.back());
    left.pop_back();
    try {
      const UniqueFd directory = open_directory(dir, path);
      for (const DirectoryEntry& entry : list_directory(directory)) {
        const auto info = stat_at(directory, entry.name);
        if (!info || info->st_dev != top->st_dev) continue;
        add(*info);
        if (S_ISDIR(info->st_mode)) left.push_back(path + "/" + entry.name);
      }
    } catch (const Error&) {
      // Of a subordinate id and closed to us, or deeper than a path can be: it counts when it is gone.
    }
  }
}

std::uint64_t InodeCount::bytes() const noexcept {
  std::uint64_t total = exclusive_;
  for (const auto& [key, shared] : shared_) {
    if (shared.names_left == 0) total += shared.bytes;
  }
  return total;
}

}  // namespace karapace::store
