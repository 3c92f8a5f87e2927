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
  /// `known` has the contents if they were hashed before; sorted by path.
  Sealer(FdRef tree, FdRef objects, const SealOptions& options, Walk walk,
         const std::vector<IndexEntry>* known = nullptr)
      : tree_(tree),
        linker_(objects, options.flat),
        options_(options),
        walk_(std::move(walk)),
        known_(known) {
    if (known_ == nullptr) return;
    // An earlier try that died may have changed the times of directories.
    for (IndexEntry& entry : walk_.entries) {
      if (entry.type == EntryType::Directory) entry.mtime_ns = known_entry(entry).mtime_ns;
    }
  }

  SealedTree run(ProgressSink& progress, const CancelToken& cancel) {
    for_each_file(
        tree_, walk_, options_.threads, [this](FdRef dir, std::size_t index) { seal_file(dir, index); },
        progress, cancel);
    linker_.publish_copies();
    // Deepest last in the walk, so this goes bottom up; and after the files, which change the times of
    // directories.
    for (auto batch = walk_.batches.rbegin(); batch != walk_.batches.rend(); ++batch) seal_others(*batch);
    for (std::size_t index = walk_.entries.size(); index-- > 0;) seal_directory(walk_.entries[index]);
    take_group_times();
    const std::vector<IndexEntry> entries = sort_entries(std::move(walk_.entries));
    SealedTree result;
    result.index = encode_index(entries);
    result.mtimes = encode_mtimes(entries);
    result.hash = hash_bytes(result.index);
    result.entries = entries.size();
    for (const IndexEntry& entry : entries) result.bytes += entry.size;
    result.objects_new = objects_new_;
    result.objects_shared = objects_shared_;
    return result;
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
    const tree_io::FileInfo info = tree_io::info_of(file);
    if (info.size != entry.size || info.mtime_ns != entry.mtime_ns) {
      throw Error(ErrorCode::Conflict, "it changed while it was read",
                  "Stop what writes to it and try again.");
    }
    SplitXattrs xattrs = split_xattrs(tree_io::read_xattrs(file), options_.flat, entry.path);
    entry.content = known_ != nullptr ? known_content(entry) : hash_unchanging(file, info);
    entry.mtime_ns = final_mtime(entry);
    const Attributes wanted{mode_on_disk(entry.mode, options_.flat), info.uid, info.gid, entry.mtime_ns,
                            xattrs.kept};
    const bool differs = tree_io::permissions(info.mode) != wanted.mode || info.mtime_ns != wanted.mtime_ns ||
                         !xattrs.dropped.empty();
    if (differs && flags == kShared) {
      file = replace_by_copy(dir, name, file, wanted);
    } else if (differs) {
      for (const std::string& key : xattrs.dropped) tree_io::erase_xattr(file, key);
      if (tree_io::permissions(info.mode) != wanted.mode) tree_io::set_mode(file, wanted.mode);
      tree_io::set_mtime(file, wanted.mtime_ns);
    }
    if (entry.size > 0)
      count(linker_.adopt(dir, name, file, wanted, entry.content, may_share(flags, wanted)));
    entry.xattrs = std::move(xattrs.kept);
  }

  [[nodiscard]] const IndexEntry& known_entry(const IndexEntry& entry) const {
    const auto found = std::ranges::lower_bound(*known_, entry.path, {}, &IndexEntry::path);
    if (found == known_->end() || found->path != entry.path || found->type != entry.type)
      throw Error(ErrorCode::Conflict, "it changed after it was read");
    return *found;
  }

  [[nodiscard]] Digest known_content(const IndexEntry& entry) const {
    const IndexEntry& known = known_entry(entry);
    if (known.size != entry.size || known.mtime_ns != entry.mtime_ns)
      throw Error(ErrorCode::Conflict, "it changed after it was read");
    return known.content;
  }

  /// A group's file stays apart from its object: see seal_tree's comment.
  static bool may_share(std::uint8_t flags, const Attributes& attributes) {
    return flags != kGroupHead && is_shareable(attributes.mode);
  }

  void count(Sharing sharing) {
    if (sharing == Sharing::NewObject) ++objects_new_;
    if (sharing == Sharing::Linked) ++objects_shared_;
  }

  /// The file has names outside the tree, whose owners rely on it as it is.
  [[nodiscard]] UniqueFd replace_by_copy(FdRef dir, const std::string& name, FdRef file,
                                         const Attributes& wanted) const {
    const std::string temporary = std::string(kTemporaryPrefix) + random_hex(12);
    UniqueFd copy = tree_io::create_file(dir, temporary);
    tree_io::copy_contents(file, copy);
    apply_attributes(copy, wanted, options_.flat);
    sync_file(copy);  // it is about to be an object
    rename_at(dir, temporary, dir, name, Replace::Yes);
    return copy;
  }

  /// Symlinks, FIFOs and whiteouts.
  void seal_others(const Batch& batch) {
    UniqueFd dir;
    for (std::uint32_t i = batch.begin; i < batch.end; ++i) {
      IndexEntry& entry = walk_.entries[i];
      const bool link = entry.type == EntryType::Symlink;
      if (!link && entry.type != EntryType::Fifo && entry.type != EntryType::Whiteout) continue;
      if (!dir) dir = tree_io::open_tree_dir(tree_, walk_.entries[batch.directory].path);
      const std::string name = name_of(entry);
      if (!link && entry.type == EntryType::Fifo && mode_on_disk(entry.mode, options_.flat) != entry.mode) {
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
  const std::vector<IndexEntry>* known_;
  std::atomic<std::uint64_t> objects_new_{0};
  std::atomic<std::uint64_t> objects_shared_{0};
};

/// An earlier try may have died between making a file and giving it its name.
bool remove_strays(FdRef tree, const Walk& walk, const std::vector<IndexEntry>& known) {
  bool found = false;
  for (const IndexEntry& entry : walk.entries) {
    if (std::ranges::binary_search(known, entry.path, {}, &IndexEntry::path)) continue;
    const std::string name = name_of(entry);
    if (entry.type == EntryType::Directory || !name.starts_with(kTemporaryPrefix))
      throw Error(ErrorCode::Conflict,
                  fmt::format("\"{}\" appeared after it was read", printable(entry.path)));
    const std::string parent =
        entry.path.substr(0, entry.path.size() - std::min(entry.path.size(), name.size() + 1));
    unlink_at(tree_io::open_tree_dir(tree, parent), name);
    found = true;
  }
  return found;
}

}  // namespace

Digest hash_unchanging(FdRef file, const tree_io::FileInfo& before) {
  const Digest digest = hash_file(file);
  const tree_io::FileInfo after = tree_io::info_of(file);
  if (after.size != before.size || after.mtime_ns != before.mtime_ns) {
    throw Error(ErrorCode::Conflict, "it changed while it was read", "Stop what writes to it and try again.");
  }
  return digest;
}

SealedTree seal_tree(FdRef tree, FdRef objects, const SealOptions& options, ProgressSink& progress,
                     const CancelToken& cancel) {
  Walk walk = walk_tree(tree, WalkOptions{options.flat, nullptr}, cancel);
  // Files become objects, and an object's bytes must never get lost under its name.
  sync_filesystem(tree);
  return Sealer(tree, objects, options, std::move(walk)).run(progress, cancel);
}

void seal_known_tree(FdRef tree, FdRef objects, const std::vector<IndexEntry>& known, bool flat,
                     ProgressSink& progress, const CancelToken& cancel) {
  Walk walk = walk_tree(tree, WalkOptions{flat, nullptr}, cancel);
  if (remove_strays(tree, walk, known)) walk = walk_tree(tree, WalkOptions{flat, nullptr}, cancel);
  static_cast<void>(
      Sealer(tree, objects, SealOptions{.flat = flat}, std::move(walk), &known).run(progress, cancel));
}

void link_missing_objects(FdRef tree, FdRef objects, const std::vector<IndexEntry>& entries, bool flat) {
  ObjectLinker linker(objects, flat);
  for (const IndexEntry& entry : entries) {
    if (entry.type != EntryType::Regular || entry.size == 0 || exists_at(objects, entry.content.hex()))
      continue;
    const std::size_t slash = entry.path.rfind('/');
    const UniqueFd dir =
        tree_io::open_tree_dir(tree, slash == std::string::npos ? "" : entry.path.substr(0, slash));
    const UniqueFd file = tree_io::open_entry(dir, name_of(entry));
    const tree_io::FileInfo info = tree_io::info_of(file);
    if (hash_file(file) != entry.content) continue;  // verification tells
    linker.adopt(dir, name_of(entry), file, {}, entry.content, info.links == 1 && is_shareable(info.mode));
  }
  linker.publish_copies();
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
    entry.content = hash_unchanging(file, tree_io::info_of(file));
  };
  for_each_file(tree, walk, threads, scan_file, no_progress(), cancel);
  return sort_entries(std::move(walk.entries));
}

}  // namespace karapace::store
