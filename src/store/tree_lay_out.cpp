// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <fmt/format.h>

#include <unordered_set>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "karapace/base/xattr.hpp"
#include "karapace/store/layer.hpp"
#include "object_linker.hpp"
#include "tree_walk.hpp"

namespace karapace::store {
namespace {

constexpr unsigned kThreads = 2;

class TreeWriter {
 public:
  TreeWriter(const std::vector<IndexEntry>& entries, FdRef objects, FdRef target, bool flat,
             const CancelToken& cancel)
      : entries_(entries),
        linker_(objects, flat),
        target_(target),
        flat_(flat),
        cancel_(cancel),
        cursor_(target) {
    for (const IndexEntry& entry : entries) {
      if (entry.type == EntryType::HardLink) group_heads_.insert(entry.link_target);
    }
  }

  void run() {
    if (!list_directory(target_).empty())
      throw Error(ErrorCode::AlreadyExists, "the directory for the tree is not empty");
    own_ = tree_io::info_of(target_);
    // Parents are before their children in the index.
    write_all(EntryType::Directory);
    for_each_file(
        target_, entries_, kThreads,
        [this](FdRef dir, std::size_t index) { write_file(entries_[index], dir, name_of(entries_[index])); },
        no_progress(), cancel_);
    for (const EntryType type :
         {EntryType::HardLink, EntryType::Symlink, EntryType::Fifo, EntryType::Whiteout})
      write_all(type);
    // Children before their parents: modes and times come when nothing changes in a directory any more.
    for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry) {
      if (entry->type == EntryType::Directory) finish_directory(*entry);
    }
  }

 private:
  [[nodiscard]] Attributes attributes_of(const IndexEntry& entry) const {
    return {mode_on_disk(entry.mode, flat_), flat_ ? own_.uid : entry.uid, flat_ ? own_.gid : entry.gid,
            entry.mtime_ns, entry.xattrs};
  }

  void write_all(EntryType type) {
    for (const IndexEntry& entry : entries_) {
      if (entry.type != type || entry.path.empty()) continue;
      cancel_.check();
      with_context([&] { return fmt::format("laying out \"{}\"", printable(entry.path)); },
                   [&] { write(entry); });
    }
  }

  void write(const IndexEntry& entry) {
    const FdRef dir = cursor_.directory_of(entry);
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
    const bool may_share = is_shareable(attributes.mode) && !group_heads_.contains(entry.path);
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
    with_context([&] { return fmt::format("laying out \"{}\"", printable(entry.path)); },
                 [&] {
                   const UniqueFd dir = tree_io::open_tree_dir(target_, entry.path);
                   if (entry.opaque) tree_io::write_xattr(dir, "user.overlay.opaque", "y");
                   apply_attributes(dir, attributes_of(entry), flat_);
                 });
  }

  const std::vector<IndexEntry>& entries_;
  ObjectLinker linker_;
  FdRef target_;
  bool flat_;
  const CancelToken& cancel_;
  tree_io::FileInfo own_;
  std::unordered_set<std::string_view> group_heads_;
  DirectoryCursor cursor_;
};

}  // namespace

void lay_out_tree(const std::vector<IndexEntry>& entries, FdRef objects, FdRef target, bool flat,
                  const CancelToken& cancel) {
  TreeWriter(entries, objects, target, flat, cancel).run();
}

}  // namespace karapace::store
