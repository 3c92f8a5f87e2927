// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <unordered_set>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "karapace/base/xattr.hpp"
#include "karapace/store/layer.hpp"
#include "object_linker.hpp"
#include "on_threads.hpp"
#include "tree_walk.hpp"

namespace karapace::store {
namespace {

constexpr unsigned kThreads = 2;
constexpr std::size_t kChunk = 64;  // entries that a thread takes at a time

using Positions = std::vector<std::uint32_t>;

std::size_t depth_of(const IndexEntry& entry) {
  const std::string_view path = entry.path;
  return path.empty() ? 0 : static_cast<std::size_t>(std::ranges::count(path, '/')) + 1;
}

class TreeWriter {
 public:
  TreeWriter(const std::vector<IndexEntry>& entries, FdRef objects, FdRef target, bool flat,
             const CancelToken& cancel)
      : entries_(entries), linker_(objects, flat), target_(target), flat_(flat), cancel_(cancel) {
    for (std::uint32_t index = 0; index < entries.size(); ++index) {
      const IndexEntry& entry = entries[index];
      if (entry.type == EntryType::HardLink) group_heads_.insert(entry.link_target);
      if (entry.type != EntryType::Directory) continue;
      levels_.resize(std::max(levels_.size(), depth_of(entry) + 1));
      levels_[depth_of(entry)].push_back(index);
    }
  }

  void run() {
    if (!list_directory(target_).empty())
      throw Error(ErrorCode::AlreadyExists, "the directory for the tree is not empty");
    own_ = tree_io::info_of(target_);
    // Directories of one level do not depend on each other.
    for (const Positions& level : levels_) write_all(level);
    for_each_file(
        target_, entries_, kThreads,
        [this](FdRef dir, std::size_t index) { write_file(entries_[index], dir, name_of(entries_[index])); },
        no_progress(), cancel_);
    write_all(entries_of({EntryType::Symlink, EntryType::Fifo, EntryType::Whiteout}));
    // Symlinks and FIFOs can have several names, too.
    write_all(entries_of({EntryType::HardLink}));
    // Children before their parents: modes and times come when nothing changes in a directory any more.
    for (auto level = levels_.rbegin(); level != levels_.rend(); ++level)
      for_each(*level, [this](DirectoryCursor&, const IndexEntry& entry) { finish_directory(entry); });
  }

 private:
  [[nodiscard]] Attributes attributes_of(const IndexEntry& entry) const {
    return {mode_on_disk(entry.mode, flat_), flat_ ? own_.uid : entry.uid, flat_ ? own_.gid : entry.gid,
            entry.mtime_ns, entry.xattrs};
  }

  [[nodiscard]] Positions entries_of(std::initializer_list<EntryType> types) const {
    Positions found;
    for (std::uint32_t index = 0; index < entries_.size(); ++index) {
      if (std::ranges::find(types, entries_[index].type) != types.end()) found.push_back(index);
    }
    return found;
  }

  /// In any order, by several threads. A cursor is for neighbours in the index.
  template <typename Work>
  void for_each(const Positions& positions, const Work& work) {
    const std::size_t chunks = (positions.size() + kChunk - 1) / kChunk;
    for_each_index(chunks, kThreads, [&](std::size_t chunk, bool) {
      DirectoryCursor cursor(target_);
      const std::size_t end = std::min(positions.size(), (chunk + 1) * kChunk);
      for (std::size_t i = chunk * kChunk; i < end; ++i) {
        const IndexEntry& entry = entries_[positions[i]];
        cancel_.check();
        with_context([&] { return fmt::format("laying out \"{}\"", printable(entry.path)); },
                     [&] { work(cursor, entry); });
      }
    });
  }

  void write_all(const Positions& positions) {
    for_each(positions, [this](DirectoryCursor& cursor, const IndexEntry& entry) {
      if (!entry.path.empty()) write(cursor.directory_of(entry), entry);
    });
  }

  void write(FdRef dir, const IndexEntry& entry) {
    const std::string name = name_of(entry);
    switch (entry.type) {
      case EntryType::Directory:
        make_directory_at(dir, name, 0700);
        return;
      case EntryType::Regular:
        return;  // by for_each_file
      case EntryType::HardLink:
        if (try_link_at(target_, entry.link_target, dir, name) != LinkResult::Linked) {
          throw Error(ErrorCode::Unsupported,
                      "the file system cannot link it to " + std::string(printable(entry.link_target)));
        }
        return;
      case EntryType::Symlink:
        symlink_at(entry.link_target, dir, name);
        break;
      case EntryType::Fifo:
        tree_io::make_fifo(dir, name);
        break;
      case EntryType::Whiteout:
        tree_io::make_whiteout(dir, name);
        tree_io::set_mtime_at(dir, name, entry.mtime_ns);
        return;
    }
    finish_special(entry, dir, name);
  }

  void write_file(const IndexEntry& entry, FdRef dir, const std::string& name) {
    const Attributes attributes = attributes_of(entry);
    if (entry.size == 0) {
      apply_attributes(tree_io::create_file(dir, name), attributes, flat_);
      return;
    }
    const bool may_share = is_shareable(attributes.mode, flat_) && !group_heads_.contains(entry.path);
    linker_.place(dir, name, attributes, entry.content, entry.size, may_share);
  }

  void finish_special(const IndexEntry& entry, FdRef dir, const std::string& name) const {
    if (!flat_) tree_io::set_owner(dir, name, entry.uid, entry.gid);
    for (const auto& [key, value] : entry.xattrs) set_xattr(dir, name, key, value);
    if (entry.type == EntryType::Fifo)
      tree_io::set_mode(tree_io::open_entry(dir, name), mode_on_disk(entry.mode, flat_));
    tree_io::set_mtime_at(dir, name, entry.mtime_ns);
  }

  void finish_directory(const IndexEntry& entry) const {
    const UniqueFd dir = tree_io::open_tree_dir(target_, entry.path);
    if (entry.opaque) tree_io::write_xattr(dir, "user.overlay.opaque", "y");
    apply_attributes(dir, attributes_of(entry), flat_);
  }

  const std::vector<IndexEntry>& entries_;
  ObjectLinker linker_;
  FdRef target_;
  bool flat_;
  const CancelToken& cancel_;
  tree_io::FileInfo own_;
  std::unordered_set<std::string_view> group_heads_;
  std::vector<Positions> levels_;  // the directories, by their depth
};

}  // namespace

void lay_out_tree(const std::vector<IndexEntry>& entries, FdRef objects, FdRef target, bool flat,
                  const CancelToken& cancel) {
  TreeWriter(entries, objects, target, flat, cancel).run();
}

}  // namespace karapace::store
