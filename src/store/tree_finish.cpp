// SPDX-License-Identifier: Apache-2.0
#include "tree_finish.hpp"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <string_view>
#include <unordered_set>

#include "karapace/base/durable.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "object_linker.hpp"
#include "on_threads.hpp"
#include "tree_walk.hpp"

namespace karapace::store {
namespace {

class Finisher {
 public:
  Finisher(FdRef tree, FdRef objects, const KnownTree& known, bool flat)
      : tree_(tree), linker_(objects, flat), known_(known), flat_(flat) {
    for (const IndexEntry& entry : known.entries) {
      if (entry.type == EntryType::HardLink) group_heads_.insert(entry.link_target);
    }
  }

  void run(ProgressSink& progress, const CancelToken& cancel) {
    if (known_.begun) remove_temporaries();
    for_each_file(
        tree_, known_.entries, kWaitingThreads,
        [this](FdRef dir, std::size_t index) { finish_file(dir, index); }, progress, cancel);
    linker_.publish_copies();
    finish_fifos();
    // Sorted, so this goes bottom up; and after the files, which change the times of directories.
    for (std::size_t index = known_.entries.size(); index-- > 0;) {
      if (known_.entries[index].type == EntryType::Directory) finish_directory(index);
    }
  }

 private:
  [[nodiscard]] bool has_notes(std::size_t index) const {
    return std::ranges::binary_search(known_.noted, static_cast<std::uint32_t>(index));
  }

  /// What made a file and died before giving it its name.
  void remove_temporaries() {
    for (const IndexEntry& entry : known_.entries) {
      if (entry.type != EntryType::Directory) continue;
      const UniqueFd dir = tree_io::open_tree_dir(tree_, entry.path);
      for (const DirectoryEntry& item : list_directory(dir)) {
        if (!item.name.starts_with(kTemporaryPrefix) || is_known(entry, item.name)) continue;
        if (item.type != DT_DIR) unlink_at(dir, item.name);
      }
    }
  }

  [[nodiscard]] bool is_known(const IndexEntry& dir, const std::string& name) const {
    const std::string path = dir.path.empty() ? name : dir.path.str() + "/" + name;
    return std::ranges::binary_search(known_.entries, std::string_view(path), {},
                                      [](const IndexEntry& entry) { return entry.path.view(); });
  }

  void finish_file(FdRef dir, std::size_t index) {
    const IndexEntry& entry = known_.entries[index];
    const std::string name = name_of(entry);
    const tree_io::FileInfo info = tree_io::info_at(dir, name);
    if (!S_ISREG(info.mode) || info.size != entry.size || info.mtime_ns != entry.mtime_ns) return;
    const bool is_head = group_heads_.contains(entry.path);
    const bool has_other_names = !is_head && info.links > 1;
    const std::uint32_t mode = mode_on_disk(entry.mode, flat_);
    const bool may_share = !is_head && is_shareable(mode, flat_);
    const bool as_it_is = !has_notes(index) && tree_io::permissions(info.mode) == mode;
    if (as_it_is && entry.size == 0) return;
    const bool may_be_new = as_it_is && may_share && !has_other_names;
    if (may_be_new && linker_.adopt_as_new(dir, name, entry.content)) return;

    UniqueFd file = tree_io::open_entry(dir, name);
    if (has_other_names && may_share && linker_.is_object(file, entry.content)) return;  // by an earlier try
    const Attributes wanted{mode, info.uid, info.gid, entry.mtime_ns, entry.xattrs};
    const SplitXattrs xattrs = split_xattrs(tree_io::read_xattrs(file), flat_, entry.path);
    file = linker_.bring_into_form(dir, name, std::move(file), info, wanted, xattrs.dropped, has_other_names);
    if (entry.size == 0) return;
    if (may_be_new) {
      linker_.join(dir, name, file, wanted, entry.content, may_share);
    } else {
      linker_.adopt(dir, name, file, wanted, entry.content, may_share);
    }
  }

  void finish_fifos() {
    DirectoryCursor cursor(tree_);
    for (const IndexEntry& entry : known_.entries) {
      if (entry.type != EntryType::Fifo || mode_on_disk(entry.mode, flat_) == entry.mode) continue;
      tree_io::set_mode(tree_io::open_entry(cursor.directory_of(entry), name_of(entry)),
                        mode_on_disk(entry.mode, flat_));
    }
  }

  void finish_directory(std::size_t index) {
    const IndexEntry& entry = known_.entries[index];
    with_context(
        [&] { return "\"" + printable(entry.path) + "\""; },
        [&] {
          const UniqueFd dir = tree_io::open_tree_dir(tree_, entry.path);
          const tree_io::FileInfo info = tree_io::info_of(dir);
          if (has_notes(index)) {
            for (const std::string& key : split_xattrs(tree_io::read_xattrs(dir), flat_, entry.path).dropped)
              tree_io::erase_xattr(dir, key);
          }
          const std::uint32_t mode = mode_on_disk(entry.mode, flat_);
          if (mode != tree_io::permissions(info.mode)) tree_io::set_mode(dir, mode);
          if (info.mtime_ns != entry.mtime_ns) tree_io::set_mtime(dir, entry.mtime_ns);
        });
  }

  FdRef tree_;
  ObjectLinker linker_;
  const KnownTree& known_;
  bool flat_;
  std::unordered_set<std::string_view> group_heads_;
};

}  // namespace

void finish_tree(FdRef tree, FdRef objects, const KnownTree& known, bool flat, ProgressSink& progress,
                 const CancelToken& cancel) {
  Finisher(tree, objects, known, flat).run(progress, cancel);
}

void link_missing_objects(FdRef tree, FdRef objects, const std::vector<IndexEntry>& entries, bool flat) {
  ObjectLinker linker(objects, flat);
  DirectoryCursor cursor(tree);
  for (const IndexEntry& entry : entries) {
    if (entry.type != EntryType::Regular || entry.size == 0 || exists_at(objects, entry.content.hex()))
      continue;
    const FdRef dir = cursor.directory_of(entry);
    const UniqueFd file = tree_io::open_entry(dir, name_of(entry));
    const tree_io::FileInfo info = tree_io::info_of(file);
    if (hash_file(file) != entry.content) continue;  // verification tells
    linker.adopt(dir, name_of(entry), file, {}, entry.content,
                 info.links == 1 && is_shareable(info.mode, flat));
  }
  linker.publish_copies();
}

}  // namespace karapace::store
