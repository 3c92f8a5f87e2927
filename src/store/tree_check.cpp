// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>

#include <algorithm>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "karapace/store/integrity.hpp"
#include "tree_walk.hpp"

namespace karapace::store {
namespace {

/// Outside of the user namespace a capability names the namespace's root, inside it does not. Both are the
/// same to us.
void forget_capability_value(IndexEntry& entry) {
  if (entry.xattrs.empty()) return;
  Xattrs xattrs = entry.xattrs;
  for (auto& [key, value] : xattrs) {
    if (key == "security.capability") value.clear();
  }
  entry.xattrs = std::move(xattrs);
}

bool has_right_content(FdRef tree, FdRef objects, const IndexEntry& entry) {
  if (entry.size == 0) return true;
  const std::optional<struct stat> object = stat_at(objects, entry.content.hex());
  const std::optional<struct stat> file = stat_at(tree, entry.path);
  if (!object || !file) return false;
  // Whoever hashes the objects has seen these bytes.
  if (object->st_dev == file->st_dev && object->st_ino == file->st_ino) return true;
  return hash_file(open_beneath(tree, entry.path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)) == entry.content;
}

/// Content apart: it is compared by inode, and most of it without reading.
bool looks_right(IndexEntry wanted, IndexEntry& seen, bool flat) {
  wanted.content = Digest();
  forget_capability_value(wanted);
  forget_capability_value(seen);
  return same_tree_entry(wanted, seen, flat);
}

}  // namespace

std::vector<std::string> find_tree_faults(FdRef tree, FdRef objects, IndexReader index, bool flat,
                                          const CancelToken& cancel, std::size_t limit) {
  std::vector<std::string> faults;
  std::vector<IndexEntry> found = scan_tree(tree, flat, false, 2, cancel, &faults);
  auto seen = found.begin();
  const auto add_extra = [&](std::string_view before) {
    for (; seen != found.end() && seen->path.view() < before; ++seen) faults.push_back(printable(seen->path));
  };
  for (IndexEntry wanted; faults.size() < limit && index.next(wanted);) {
    cancel.check();
    add_extra(wanted.path);
    const bool is_there = seen != found.end() && seen->path == wanted.path;
    const bool right = is_there && looks_right(wanted, *seen, flat) &&
                       (wanted.type != EntryType::Regular || has_right_content(tree, objects, wanted));
    if (!right) faults.push_back(printable(wanted.path));
    if (is_there) ++seen;
  }
  for (; seen != found.end() && faults.size() < limit; ++seen) faults.push_back(printable(seen->path));
  if (faults.size() > limit) faults.resize(limit);
  return faults;
}

}  // namespace karapace::store
