// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "by_path.hpp"
#include "karapace/store/layer.hpp"

namespace karapace::store {
namespace {

const IndexEntry& file_of(const IndexEntry& entry, const ByPath& entries) {
  if (entry.type != EntryType::HardLink) return entry;
  const auto head = entries.find(entry.link_target);
  return head == entries.end() ? entry : *head->second;
}

}  // namespace

bool same_tree_entry(const IndexEntry& a, const IndexEntry& b, bool flat) {
  return a.type == b.type && mode_on_disk(a.mode, flat) == mode_on_disk(b.mode, flat) && a.uid == b.uid &&
         a.gid == b.gid && a.size == b.size && a.content == b.content && a.link_target == b.link_target &&
         a.opaque == b.opaque && a.xattrs == b.xattrs;
}

bool same_tree(const std::vector<IndexEntry>& a, const std::vector<IndexEntry>& b, bool flat) {
  if (a.size() != b.size()) return false;
  const ByPath in_a = by_path(a);
  const ByPath in_b = by_path(b);
  return std::ranges::equal(a, b, [&](const IndexEntry& left, const IndexEntry& right) {
    return left.path == right.path && same_tree_entry(file_of(left, in_a), file_of(right, in_b), flat);
  });
}

}  // namespace karapace::store
