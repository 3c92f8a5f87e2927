// SPDX-License-Identifier: Apache-2.0
#include "karapace/store/layer_merge.hpp"

#include <algorithm>
#include <unordered_map>

#include "by_path.hpp"

namespace karapace::store {
namespace {

std::string_view parent_of(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

/// Whether an upper entry at a directory on the way to `path` closes the view.
bool is_hidden(std::string_view path, const ByPath& upper) {
  while (!path.empty()) {
    path = parent_of(path);
    const auto found = upper.find(path);
    if (found == upper.end()) continue;
    if (found->second->type != EntryType::Directory || found->second->opaque) return true;
  }
  return false;
}

/// A hard-link group that lost its first name: the next one takes its place.
void choose_new_heads(std::vector<IndexEntry>& kept, const std::vector<IndexEntry>& before) {
  const ByPath old = by_path(before);
  std::unordered_map<std::string_view, bool> is_kept;
  for (const IndexEntry& entry : kept) is_kept.emplace(entry.path, true);
  std::unordered_map<std::string, std::string> new_heads;
  for (IndexEntry& entry : kept) {
    if (entry.type != EntryType::HardLink || is_kept.contains(entry.link_target)) continue;
    const auto [head, first] = new_heads.try_emplace(entry.link_target, entry.path);
    if (!first) {
      entry.link_target = head->second;
      continue;
    }
    PackedBytes path = std::move(entry.path);  // keeps its bytes where they are: is_kept looks at them
    entry = *old.at(head->first);
    entry.path = std::move(path);
  }
}

}  // namespace

std::vector<IndexEntry> merge_layers(const std::vector<IndexEntry>& lower,
                                     const std::vector<IndexEntry>& upper) {
  const ByPath above = by_path(upper);
  const ByPath below = by_path(lower);
  std::vector<IndexEntry> result;
  for (const IndexEntry& entry : lower) {
    if (!above.contains(entry.path) && !is_hidden(entry.path, above)) result.push_back(entry);
  }
  choose_new_heads(result, lower);
  for (const IndexEntry& entry : upper) {
    result.push_back(entry);
    if (entry.type != EntryType::Directory) continue;
    const auto covered = below.find(entry.path);
    if (covered == below.end() || is_hidden(entry.path, above)) continue;
    // What ends the way down in the lower layer must end it in the merged one.
    const IndexEntry& old = *covered->second;
    result.back().opaque = entry.opaque || old.opaque || old.type != EntryType::Directory;
  }
  std::ranges::sort(result, {}, &IndexEntry::path);
  return result;
}

std::vector<IndexEntry> visible_tree(std::vector<IndexEntry> layer) {
  std::erase_if(layer, [](const IndexEntry& entry) { return entry.type == EntryType::Whiteout; });
  for (IndexEntry& entry : layer) {
    entry.opaque = false;
    if (!entry.path.empty()) continue;
    Xattrs xattrs = entry.xattrs;
    std::erase_if(xattrs, [](const auto& item) { return item.first == "user.karapace.ownership"; });
    entry.xattrs = std::move(xattrs);
  }
  return layer;
}

}  // namespace karapace::store
