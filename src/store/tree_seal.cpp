// SPDX-License-Identifier: Apache-2.0
// Sealing: a tree becomes a layer. One walk collects names and attributes, two threads hash the files, bring
// them into the form that the index will describe, and make them objects. Nothing is synced here:
// publish_tree does it once for all.
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>

#include "karapace/base/clock.hpp"
#include "karapace/base/durable.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "karapace/base/xattr.hpp"
#include "karapace/store/layer.hpp"
#include "object_linker.hpp"
#include "tree_walk.hpp"

namespace karapace::store {
namespace {

constexpr std::int64_t kNanoseconds = 1'000'000'000;

class Sealer {
 public:
  Sealer(FdRef tree, FdRef objects, const SealOptions& options, Walk walk)
      : tree_(tree), linker_(objects, options.flat), options_(options), walk_(std::move(walk)) {}

  SealedTree run(ProgressSink& progress, const CancelToken& cancel) {
    for_each_file(
        tree_, walk_.entries, options_.threads,
        [this](FdRef dir, std::size_t index) { seal_file(dir, index); }, progress, cancel);
    linker_.publish_copies();
    seal_others();
    // Sorted, so this goes bottom up; and after the files, which change the times of directories.
    for (std::size_t index = walk_.entries.size(); index-- > 0;) seal_directory(walk_.entries[index]);
    take_group_times();
    return {std::move(walk_.entries), objects_new_, objects_shared_};
  }

 private:
  [[nodiscard]] std::int64_t final_mtime(const IndexEntry& entry) const {
    return options_.set_mtime ? *options_.set_mtime * kNanoseconds : entry.mtime_ns;
  }

  void seal_file(FdRef dir, std::size_t index) {
    IndexEntry& entry = walk_.entries[index];
    const std::uint8_t flags = walk_.flags[index];
    const std::string name = name_of(entry);
    UniqueFd file = tree_io::open_entry(dir, name);
    SplitXattrs xattrs = split_xattrs(tree_io::read_xattrs(file), options_.flat, entry.path);
    const auto [content, info] = hash_as_seen(file, entry);
    entry.content = content;
    entry.mtime_ns = final_mtime(entry);
    const Attributes wanted{mode_on_disk(entry.mode, options_.flat), info.uid, info.gid, entry.mtime_ns,
                            xattrs.kept};
    file = linker_.bring_into_form(dir, name, std::move(file), info, wanted, xattrs.dropped,
                                   (flags & SharedInode) != 0);
    if (entry.size > 0)
      count(linker_.adopt(dir, name, file, wanted, entry.content, may_share(flags, wanted)));
    entry.xattrs = std::move(xattrs.kept);
  }

  /// A group's file stays apart from its object: see seal_tree's comment.
  [[nodiscard]] bool may_share(std::uint8_t flags, const Attributes& attributes) const {
    return (flags & GroupHead) == 0 && is_shareable(attributes.mode, options_.flat);
  }

  void count(Sharing sharing) {
    if (sharing == Sharing::NewObject) ++objects_new_;
    if (sharing == Sharing::Linked) ++objects_shared_;
  }

  /// Symlinks, FIFOs and whiteouts.
  void seal_others() {
    DirectoryCursor cursor(tree_);
    for (IndexEntry& entry : walk_.entries) {
      const bool link = entry.type == EntryType::Symlink;
      if (!link && entry.type != EntryType::Fifo && entry.type != EntryType::Whiteout) continue;
      const FdRef dir = cursor.directory_of(entry);
      const std::string name = name_of(entry);
      if (entry.type == EntryType::Fifo && mode_on_disk(entry.mode, options_.flat) != entry.mode) {
        tree_io::set_mode(tree_io::open_entry(dir, name), mode_on_disk(entry.mode, options_.flat));
      }
      if (final_mtime(entry) != entry.mtime_ns) tree_io::set_mtime_at(dir, name, final_mtime(entry));
      entry.mtime_ns = final_mtime(entry);
    }
  }

  void seal_directory(IndexEntry& entry) {
    if (entry.type != EntryType::Directory) return;
    with_context([&] { return fmt::format("\"{}\"", printable(entry.path)); },
                 [&] {
                   const UniqueFd dir = tree_io::open_tree_dir(tree_, entry.path);
                   for (const std::string& key :
                        split_xattrs(tree_io::read_xattrs(dir), options_.flat, entry.path).dropped) {
                     tree_io::erase_xattr(dir, key);
                   }
                   const std::uint32_t mode = mode_on_disk(entry.mode, options_.flat);
                   if (mode != entry.mode) tree_io::set_mode(dir, mode);
                   entry.mtime_ns = final_mtime(entry);
                   tree_io::set_mtime(dir, entry.mtime_ns);
                 });
  }

  /// Further names of a file have its time, which the walk could not know yet.
  void take_group_times() {
    if (!options_.set_mtime) return;
    for (IndexEntry& entry : walk_.entries) {
      if (entry.type == EntryType::HardLink) entry.mtime_ns = final_mtime(entry);
    }
  }

  FdRef tree_;
  ObjectLinker linker_;
  SealOptions options_;
  Walk walk_;
  std::atomic<std::uint64_t> objects_new_{0};
  std::atomic<std::uint64_t> objects_shared_{0};
};

}  // namespace

HashedFile hash_as_seen(FdRef file, const IndexEntry& seen) {
  const Digest content = hash_file(file, seen.size);
  // After reading: one look tells both what was written since the walk and what was written meanwhile.
  const tree_io::FileInfo info = tree_io::info_of(file);
  if (!S_ISREG(info.mode) || info.size != seen.size || info.mtime_ns != seen.mtime_ns) {
    throw Error(ErrorCode::Conflict, "it changed while it was read", "Stop what writes to it and try again.");
  }
  return {content, info};
}

SealedTree seal_tree(FdRef tree, FdRef objects, const SealOptions& options, ProgressSink& progress,
                     const CancelToken& cancel) {
  Walk walk = walk_tree(tree, WalkOptions{options.flat, nullptr}, cancel);
  // Files become objects, and an object's bytes must never get lost under its name.
  sync_filesystem(tree);
  return Sealer(tree, objects, options, std::move(walk)).run(progress, cancel);
}

void publish_tree(FdRef staging, const std::string& name, FdRef trees, const Digest& hash) {
  // Everything that was staged and every object, in one barrier, before the name that promises them exists.
  sync_filesystem(staging);
  if (!rename_at(staging, name, trees, hash.hex(), Replace::No)) remove_tree_at(staging, name);
  sync_directory(trees);
}

std::vector<IndexEntry> scan_tree(FdRef tree, bool flat, bool hash_contents, unsigned threads,
                                  const CancelToken& cancel, std::vector<std::string>* unsupported) {
  Walk walk = walk_tree(tree, WalkOptions{flat, unsupported}, cancel);
  const auto scan_file = [&](FdRef dir, std::size_t index) {
    IndexEntry& entry = walk.entries[index];
    if (!hash_contents) {
      // Without opening it: names and attributes of files that may not be read can still be compared.
      entry.xattrs = split_xattrs(list_xattrs(dir, name_of(entry)), flat, entry.path).kept;
      return;
    }
    const UniqueFd file = tree_io::open_entry(dir, name_of(entry));
    entry.xattrs = split_xattrs(tree_io::read_xattrs(file), flat, entry.path).kept;
    entry.content = hash_as_seen(file, entry).content;
  };
  for_each_file(tree, walk.entries, threads, scan_file, no_progress(), cancel);
  return std::move(walk.entries);
}

}  // namespace karapace::store
