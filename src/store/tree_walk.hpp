// SPDX-License-Identifier: Apache-2.0
// What sealing and scanning have in common: one walk over the names, then work on the regular files by
// several threads.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "karapace/base/cancel.hpp"
#include "karapace/base/progress.hpp"
#include "karapace/base/unique_fd.hpp"
#include "karapace/store/layer.hpp"
#include "tree_io.hpp"

namespace karapace::store {

enum FileFlags : std::uint8_t {
  NoFlags = 0,
  GroupHead = 1,    // first name of a hard-link group; the others are EntryType::HardLink
  SharedInode = 2,  // has names outside the tree: must not be changed
  HasNotes = 4,     // has attributes that a sealed tree does not have
};

struct Walk {
  std::vector<IndexEntry> entries;  // sorted by path, as an index is; contents not read yet
  std::vector<std::uint8_t> flags;  // FileFlags, one per entry
};

struct WalkOptions {
  bool flat = true;
  std::vector<std::string>* unsupported = nullptr;  // sockets and devices go here; null: they are refused
};
[[nodiscard]] Walk walk_tree(FdRef tree, const WalkOptions& options, const CancelToken& cancel);

/// What becomes of an extended attribute found on disk.
struct SplitXattrs {
  tree_io::Xattrs kept;              // part of the identity
  std::vector<std::string> dropped;  // to be deleted from a sealed tree
  bool opaque = false;
};
[[nodiscard]] SplitXattrs split_xattrs(tree_io::Xattrs found, bool flat, const std::string& path);

/// An entry from what lstat(2) says: type, attributes, link target; the extended attributes of a symlink or
/// FIFO. False for a socket or a device that is no whiteout.
[[nodiscard]] bool describe_entry(FdRef dir, const std::string& name, const tree_io::FileInfo& info,
                                  bool flat, IndexEntry& entry);

struct HashedFile {
  Digest content;
  tree_io::FileInfo info;
};
/// Hashes an open file; throws Conflict if it changed since it was `seen` by the walk.
[[nodiscard]] HashedFile hash_as_seen(FdRef file, const IndexEntry& seen);

/// The last component.
[[nodiscard]] std::string name_of(const IndexEntry& entry);

/// The directory of an entry, relative to the tree.
[[nodiscard]] std::string_view parent_of(const IndexEntry& entry) noexcept;

/// Calls `work(directory, index)` for every regular file that is no further name of another. `entries` is
/// sorted by path. `threads` at a time, one of them the caller's, which also reports progress. The first
/// exception ends all and is thrown here.
using FileWork = std::function<void(FdRef directory, std::size_t index)>;
void for_each_file(FdRef tree, const std::vector<IndexEntry>& entries, unsigned threads, const FileWork& work,
                   ProgressSink& progress, const CancelToken& cancel);

/// Keeps the directory of the last entry open: neighbours in an index are mostly in one.
class DirectoryCursor {
 public:
  explicit DirectoryCursor(FdRef tree) : tree_(tree) {}
  /// Valid until the next call.
  [[nodiscard]] FdRef directory_of(const IndexEntry& entry);

 private:
  FdRef tree_;
  UniqueFd current_;
  std::string path_;
};

}  // namespace karapace::store
