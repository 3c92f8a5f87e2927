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
void forget_capability_values(std::vector<IndexEntry>& entries) {
  for (IndexEntry& entry : entries) {
    for (auto& [key, value] : entry.xattrs) {
      if (key == "security.capability") value.clear();
    }
  }
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

}  // namespace

std::vector<std::string> find_tree_faults(FdRef tree, FdRef objects, const std::vector<IndexEntry>& entries,
                                          bool flat, const CancelToken& cancel, std::size_t limit) {
  std::vector<std::string> faults;
  std::vector<IndexEntry> found = scan_tree(tree, flat, false, 2, cancel, &faults);
  std::vector<IndexEntry> expected = entries;
  forget_capability_values(found);
  forget_capability_values(expected);
  // Contents are compared below, most of them without reading.
  for (IndexEntry& entry : expected) entry.content = Digest();
  auto wanted = expected.begin();
  auto seen = found.begin();
  while ((wanted != expected.end() || seen != found.end()) && faults.size() < limit) {
    const bool missing = seen == found.end() || (wanted != expected.end() && wanted->path < seen->path);
    const bool extra = !missing && (wanted == expected.end() || seen->path < wanted->path);
    if (missing || extra) {
      faults.push_back(printable(missing ? wanted->path : seen->path));
    } else if (!same_tree_entry(*wanted, *seen, flat)) {
      faults.push_back(printable(wanted->path));
    }
    if (!extra) ++wanted;
    if (!missing) ++seen;
  }
  for (const IndexEntry& entry : entries) {
    if (faults.size() >= limit) break;
    cancel.check();
    if (entry.type != EntryType::Regular || std::ranges::find(faults, printable(entry.path)) != faults.end())
      continue;
    if (!has_right_content(tree, objects, entry)) faults.push_back(printable(entry.path));
  }
  if (faults.size() > limit) faults.resize(limit);
  return faults;
}

}  // namespace karapace::store
