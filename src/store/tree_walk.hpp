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
  kPlain = 0,
  kGroupHead = 1,  // first name of a hard-link group; the others are EntryType::HardLink
  kShared = 2,     // has names outside the tree: must not be changed
};

/// Regular files of one directory, for one thread at a time.
struct Batch {
  std::uint32_t directory = 0;  // position in entries
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
};

struct Walk {
  std::vector<IndexEntry> entries;  // root first, each directory's content together; contents not read yet
  std::vector<std::uint8_t> flags;  // FileFlags, one per entry
  std::vector<Batch> batches;       // cover all entries but the root
  std::uint64_t files = 0;          // regular ones
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

/// Hashes an open file; throws Conflict if it changed meanwhile.
[[nodiscard]] Digest hash_unchanging(FdRef file, const tree_io::FileInfo& before);

/// Like seal_tree, for a tree whose files were hashed before: `known` is its index, sorted by path.
void seal_known_tree(FdRef tree, FdRef objects, const std::vector<IndexEntry>& known, bool flat,
                     ProgressSink& progress, const CancelToken& cancel);

/// Gives the store the objects of a sealed tree that it does not have.
void link_missing_objects(FdRef tree, FdRef objects, const std::vector<IndexEntry>& entries, bool flat);

/// The last component.
[[nodiscard]] std::string name_of(const IndexEntry& entry);

/// Calls `work(directory, index)` for every regular file that is no further name of another. `threads` at a
/// time, one of them the caller's, which also reports progress. The first exception ends all and is thrown
/// here.
using FileWork = std::function<void(FdRef directory, std::size_t index)>;
void for_each_file(FdRef tree, const Walk& walk, unsigned threads, const FileWork& work,
                   ProgressSink& progress, const CancelToken& cancel);

/// Sorted by path, as an index is.
[[nodiscard]] std::vector<IndexEntry> sort_entries(std::vector<IndexEntry> entries);

}  // namespace karapace::store
