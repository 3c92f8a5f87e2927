// SPDX-License-Identifier: Apache-2.0
#include "inode_count.hpp"

#include <fcntl.h>

#include <cerrno>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"

namespace karapace::store {
namespace {

constexpr std::uint64_t kBlock = 512;  // the unit of st_blocks, whatever the file system

class SizeReader {
 public:
  void add(const struct stat& info) {
    if (!may_have_other_names(info)) {
      sizes_.own += bytes_on_disk(info);
      return;
    }
    const LinkedInode found = linked_inode(info);
    const auto [place, added] =
        places_.try_emplace(InodeKey{found.device, found.inode}, sizes_.linked.size());
    if (added) {
      sizes_.linked.push_back(found);
    } else {
      ++sizes_.linked[place->second].names;
    }
  }
  [[nodiscard]] TreeSizes take() { return std::move(sizes_); }

 private:
  TreeSizes sizes_;
  std::unordered_map<InodeKey, std::size_t, InodeKeyHash> places_;
};

}  // namespace

std::uint64_t bytes_on_disk(const struct stat& info) noexcept {
  return static_cast<std::uint64_t>(info.st_blocks) * kBlock;
}

bool may_have_other_names(const struct stat& info) noexcept {
  return !S_ISDIR(info.st_mode) && info.st_nlink > 1;
}

LinkedInode linked_inode(const struct stat& info) noexcept {
  return {info.st_dev, info.st_ino, info.st_nlink, 1, bytes_on_disk(info)};
}

TreeSizes read_tree_sizes(FdRef dir, const std::string& name, const CancelToken& cancel) {
  SizeReader reader;
  const auto top = stat_at(dir, name);
  if (!top) return {};
  reader.add(*top);
  std::vector<std::string> left;
  if (S_ISDIR(top->st_mode)) left.push_back(name);
  while (!left.empty()) {
    cancel.check();
    const std::string path = std::move(left.back());
    left.pop_back();
    std::optional<UniqueFd> directory;
    try {
      directory = try_open_beneath(dir, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    } catch (const SystemError& error) {
      if (error.error_number() != ENAMETOOLONG) throw;  // deeper than a path can be: not worth another way
    }
    if (!directory) continue;  // removed since it was listed
    for (const DirectoryEntry& entry : list_directory(*directory)) {
      const auto info = stat_at(*directory, entry.name);
      if (!info || info->st_dev != top->st_dev) continue;
      reader.add(*info);
      if (S_ISDIR(info->st_mode)) left.push_back(path + "/" + entry.name);
    }
  }
  return reader.take();
}

TreeSizes sizes_of(const StoreLayout& layout, const std::string& path, const InsideSizes& inside,
                   const CancelToken& cancel) {
  try {
    return read_tree_sizes(layout.root(), path, cancel);
  } catch (const SystemError& error) {
    const bool closed = error.error_number() == EACCES || error.error_number() == EPERM;
    if (!closed || !inside) throw;
    return inside(path);
  }
}

void InodeCount::add(const struct stat& info) {
  if (may_have_other_names(info)) {
    add(linked_inode(info));
  } else {
    own_ += bytes_on_disk(info);
  }
}

void InodeCount::add(const TreeSizes& sizes) {
  own_ += sizes.own;
  for (const LinkedInode& inode : sizes.linked) add(inode);
}

void InodeCount::add(const LinkedInode& inode) {
  const auto [found, added] = linked_.try_emplace(InodeKey{inode.device, inode.inode}, inode);
  if (!added) found->second.names += inode.names;
}

std::uint64_t InodeCount::bytes() const noexcept {
  std::uint64_t total = own_;
  for (const auto& [key, inode] : linked_) {
    if (inode.names >= inode.links) total += inode.bytes;
  }
  return total;
}

}  // namespace karapace::store
