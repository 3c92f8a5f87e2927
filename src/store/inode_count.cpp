// SPDX-License-Identifier: Apache-2.0
#include "inode_count.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"

namespace karapace::store {
namespace {

constexpr std::uint64_t kBlock = 512;  // the unit of st_blocks, whatever the file system

/// By inode first: that is nearly the order in which they are found.
bool comes_before(const LinkedInode& a, const LinkedInode& b) noexcept {
  return a.inode != b.inode ? a.inode < b.inode : a.device < b.device;
}

class SizeReader {
 public:
  void add(const struct stat& info) {
    if (may_have_other_names(info)) {
      linked_.add(linked_inode(info));
    } else {
      own_ += bytes_on_disk(info);
    }
  }
  [[nodiscard]] TreeSizes take() { return {own_, linked_.take()}; }

 private:
  std::uint64_t own_ = 0;
  InodeList linked_;
};

}  // namespace

std::uint64_t bytes_on_disk(const struct stat& info) noexcept {
  return static_cast<std::uint64_t>(info.st_blocks) * kBlock;
}

bool may_have_other_names(const struct stat& info) noexcept {
  return !S_ISDIR(info.st_mode) && info.st_nlink > 1;
}

LinkedInode linked_inode(const struct stat& info) noexcept {
  // The kernel counts names in 32 bits.
  return {info.st_dev, info.st_ino, bytes_on_disk(info), static_cast<std::uint32_t>(info.st_nlink), 1};
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

void InodeList::add(const LinkedInode& inode) {
  inodes_.push_back(inode);
  if (inodes_.size() >= merge_at_) merge_at_ = 2 * merged().size() + 4096;
}

const std::vector<LinkedInode>& InodeList::merged() {
  std::sort(inodes_.begin(), inodes_.end(), comes_before);
  auto last = inodes_.begin();
  for (auto next = inodes_.begin(); next != inodes_.end(); ++next) {
    if (next == last) continue;
    if (comes_before(*last, *next)) {
      *++last = *next;
    } else {
      last->names += next->names;
    }
  }
  if (last != inodes_.end()) inodes_.erase(last + 1, inodes_.end());
  return inodes_;
}

std::vector<LinkedInode> InodeList::take() {
  static_cast<void>(merged());
  return std::exchange(inodes_, {});
}

void InodeCount::add(const struct stat& info) {
  if (may_have_other_names(info)) {
    linked_.add(linked_inode(info));
  } else {
    own_ += bytes_on_disk(info);
  }
}

void InodeCount::add(const TreeSizes& sizes) {
  own_ += sizes.own;
  for (const LinkedInode& inode : sizes.linked) linked_.add(inode);
}

std::uint64_t InodeCount::bytes() {
  std::uint64_t total = own_;
  for (const LinkedInode& inode : linked_.merged()) {
    if (inode.names >= inode.links) total += inode.bytes;
  }
  return total;
}

}  // namespace karapace::store
