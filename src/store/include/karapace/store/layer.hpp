// SPDX-License-Identifier: Apache-2.0
// A layer: the canonical index of a tree, its record, and the tree laid out. docs/store-spec.md has the
// bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "karapace/base/cancel.hpp"
#include "karapace/base/digest.hpp"
#include "karapace/base/progress.hpp"
#include "karapace/store/layout.hpp"
#include "karapace/store/packed_bytes.hpp"

namespace karapace::store {

enum class EntryType : std::uint8_t { Regular, Directory, Symlink, HardLink, Fifo, Whiteout };

/// One path of a tree. Paths are bytes, relative, in bytewise order; "" is the root directory itself.
struct IndexEntry {
  PackedBytes path;
  PackedBytes link_target;    // Symlink: target; HardLink: path of the group's first name
  PackedXattrs xattrs;        // without overlay's own
  Digest content;             // Regular
  std::uint64_t size = 0;     // Regular
  std::int64_t mtime_ns = 0;  // carried beside the identity, not in it
  std::uint32_t mode = 0;     // permission bits with setuid, setgid, sticky
  std::uint32_t uid = 0;      // as seen inside the user namespace
  std::uint32_t gid = 0;
  EntryType type = EntryType::Regular;
  bool opaque = false;  // Directory
  bool operator==(const IndexEntry&) const = default;
};
static_assert(sizeof(IndexEntry) <= 88, "there may be millions of them in memory");

/// The identity bytes (no mtimes) and back. decode throws Corrupt on anything not canonical: order, type,
/// trailing bytes.
[[nodiscard]] std::string encode_index(const std::vector<IndexEntry>& entries);
[[nodiscard]] std::vector<IndexEntry> decode_index(std::string_view bytes);
/// mtimes, one 8-byte value per entry in index order.
[[nodiscard]] std::string encode_mtimes(const std::vector<IndexEntry>& entries);
void apply_mtimes(std::vector<IndexEntry>& entries, std::string_view bytes);

enum class LayerKind { Base, Dependency, Policy, Snapshot };

struct LayerRecord {
  Digest hash;  // blake3 of the index bytes: the layer's name
  LayerKind kind = LayerKind::Base;
  Digest index_object;
  Digest mtimes_object;
  std::string ownership;  // "flat" or "mapped"
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;  // sum of the sizes of regular files
};

/// store/layers/<hash>: pretty JSON with checksum. `layout` must outlive the object.
class LayerStore {
 public:
  explicit LayerStore(const StoreLayout& layout);
  [[nodiscard]] std::optional<LayerRecord> find(const Digest& hash) const;  // CorruptError if damaged
  [[nodiscard]] LayerRecord load(const Digest& hash) const;
  /// Publishes index and mtimes objects, then the record; durable on return. Fills in the digests of both
  /// objects. The tree should already be in trees/. A good record that is there already stays.
  void put(const LayerRecord& record, std::string_view index, std::string_view mtimes);
  [[nodiscard]] std::vector<Digest> list() const;
  /// True if record and trees/<hash> are there: the layer can be mounted.
  [[nodiscard]] bool is_laid_out(const Digest& hash) const;

 private:
  const StoreLayout& layout_;
  UniqueFd dir_;
};

// --- Tree work. These run inside the user namespace that owns the files (karapace-worker), because owners,
// xattrs and
// --- permissions are only right there. They take directory descriptors and follow no symlink.

struct SealOptions {
  bool flat = true;  // all owners 0:0 in the index, setuid and setgid stripped on disk
  std::optional<std::int64_t> set_mtime = {};  // seconds; every entry gets it
  unsigned threads = 2;
};
struct SealedTree {
  std::vector<IndexEntry> entries;  // the index
  std::uint64_t objects_new = 0;
  std::uint64_t objects_shared = 0;
};
/// Scans, hashes, normalises as asked, makes each regular file an object or a link to one, drops overlay's
/// own xattrs except opaque marks, and returns the index: see write_index. Refuses (InvalidInput naming the
/// path) sockets and device nodes other than whiteouts. `tree` may be an overlay upper directory or a plain
/// tree. Not yet durable: see publish_tree.
///
/// Files that have names outside `tree` (objects, above all) are never changed: where something must change,
/// the tree gets a copy. Names of one file are a hard-link group if all of them are in the tree; such a file
/// is never an object itself, its content is copied into one. So "shares an inode with an object" and "is
/// hard-linked in the tree" stay apart, and sealing again what was sealed or laid out gives the same layer.
/// Also refused: what an overlay leaves with redirect_dir or metacopy, because it is no whole tree; another
/// mounted file system; paths longer than RelPath allows. Recorded xattrs: user.* (without the overlay's
/// own), security.capability as seen inside, and in mapped trees POSIX ACLs.
[[nodiscard]] SealedTree seal_tree(FdRef tree, FdRef objects, const SealOptions& options,
                                   ProgressSink& progress, const CancelToken& cancel);
/// syncfs, then renames `name` in `staging` to trees/<hash>; an existing tree is kept and the staged one
/// removed.
void publish_tree(FdRef staging, const std::string& name, FdRef trees, const Digest& hash);
/// Scans without changing anything: for verify and drift. `hash_contents` false leaves Digest empty. Sockets
/// and devices are refused like in seal_tree, or listed in `unsupported` if that is given.
[[nodiscard]] std::vector<IndexEntry> scan_tree(FdRef tree, bool flat, bool hash_contents, unsigned threads,
                                                const CancelToken& cancel,
                                                std::vector<std::string>* unsupported = nullptr);
/// Lays out a tree from objects (hard link where attributes agree, reflink or copy otherwise) into an empty
/// directory. An object that no tree uses yet takes the attributes of the first file that is made of it. Not
/// yet durable: see publish_tree.
void lay_out_tree(const std::vector<IndexEntry>& entries, FdRef objects, FdRef target, bool flat,
                  const CancelToken& cancel = CancelToken::process());

/// The permission bits that a file of the index has on disk: flat trees are laid out without setuid and
/// setgid.
[[nodiscard]] inline std::uint32_t mode_on_disk(std::uint32_t mode, bool flat) noexcept {
  return flat ? mode & ~06000U : mode;
}
/// True if both entries describe the same file as it is on disk: modes as mode_on_disk, path and time
/// ignored.
[[nodiscard]] bool same_tree_entry(const IndexEntry& a, const IndexEntry& b, bool flat);
/// True if both describe the same files as they are on disk: modes as mode_on_disk, hard links as files with
/// their content, times ignored. For comparing a tree that was laid out with the index it was made of.
[[nodiscard]] bool same_tree(const std::vector<IndexEntry>& a, const std::vector<IndexEntry>& b, bool flat);

}  // namespace karapace::store
