// SPDX-License-Identifier: Apache-2.0
#include "karapace/base/error.hpp"
#include "karapace/store/tree_diff.hpp"

namespace karapace::store {
namespace {

/// What `entry` is on disk, apart from its path.
std::vector<std::string> differing(const IndexEntry& from, const IndexEntry& to, ModeView modes) {
  std::vector<std::string> what;
  const bool linked_elsewhere = from.type == EntryType::HardLink && to.type == EntryType::HardLink &&
                                from.link_target != to.link_target;
  const bool linked = from.type == EntryType::HardLink || to.type == EntryType::HardLink;
  // A further name of a file has nothing of its own but that.
  if (linked) {
    if (from.type != to.type || linked_elsewhere) what.emplace_back("links");
    return what;
  }
  if (from.type != to.type) {
    what.emplace_back("type");
    return what;
  }
  const bool stripped = modes == ModeView::Stripped;
  if (from.size != to.size || from.content != to.content) what.emplace_back("content");
  if (from.link_target != to.link_target) what.emplace_back("target");
  if (mode_on_disk(from.mode, stripped) != mode_on_disk(to.mode, stripped)) what.emplace_back("mode");
  if (from.uid != to.uid || from.gid != to.gid) what.emplace_back("owner");
  if (from.xattrs != to.xattrs) what.emplace_back("xattrs");
  if (from.opaque != to.opaque) what.emplace_back("opaque");
  return what;
}

}  // namespace

std::vector<TreeChange> diff_indexes(IndexReader from, IndexReader to, ModeView modes) {
  std::vector<TreeChange> changes;
  IndexEntry old_entry;
  IndexEntry new_entry;
  bool has_old = from.next(old_entry);
  bool has_new = to.next(new_entry);
  // Both are sorted by path.
  while (has_old || has_new) {
    if (!has_new || (has_old && old_entry.path < new_entry.path)) {
      changes.push_back({old_entry.path.str(), ChangeKind::Removed, {}});
      has_old = from.next(old_entry);
    } else if (!has_old || new_entry.path < old_entry.path) {
      changes.push_back({new_entry.path.str(), ChangeKind::Added, {}});
      has_new = to.next(new_entry);
    } else {
      std::vector<std::string> what = differing(old_entry, new_entry, modes);
      if (!what.empty()) changes.push_back({new_entry.path.str(), ChangeKind::Modified, std::move(what)});
      has_old = from.next(old_entry);
      has_new = to.next(new_entry);
    }
  }
  return changes;
}

}  // namespace karapace::store
