// SPDX-License-Identifier: Apache-2.0
// The system calls of tree work that base has no use for. Everything goes through descriptors; nothing
// follows a symlink. Every mutating call asks the fault hook first.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "karapace/base/unique_fd.hpp"
#include "karapace/store/packed_bytes.hpp"

namespace karapace::store::tree_io {

struct FileInfo {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t links = 0;
  std::uint64_t size = 0;
  std::uint64_t special_device = 0;  // st_rdev
  std::int64_t mtime_ns = 0;
  std::uint32_t mode = 0;  // with the type
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
};

[[nodiscard]] FileInfo info_at(FdRef dir, const std::string& name);
[[nodiscard]] FileInfo info_of(FdRef file);
[[nodiscard]] inline std::uint32_t permissions(std::uint32_t mode) noexcept { return mode & 07777U; }

/// "" is `root` itself.
[[nodiscard]] UniqueFd open_tree_dir(FdRef root, const std::string& path);
/// For reading; never blocks on what turns out to be a FIFO.
[[nodiscard]] UniqueFd open_entry(FdRef dir, const std::string& name);
/// Same, but absence is an answer.
[[nodiscard]] std::optional<UniqueFd> try_open_entry(FdRef dir, const std::string& name);
/// New and empty, 0600, for reading and writing. Throws AlreadyExists' errno if there is one.
[[nodiscard]] UniqueFd create_file(FdRef dir, const std::string& name);
void make_fifo(FdRef dir, const std::string& name);
/// Character device 0:0, which the kernel lets everybody make.
void make_whiteout(FdRef dir, const std::string& name);

void set_mode(FdRef file, std::uint32_t mode);
void set_owner(FdRef dir, const std::string& name, std::uint32_t uid, std::uint32_t gid);
/// Access time too: nobody needs it and one value for both is reproducible.
void set_mtime(FdRef file, std::int64_t mtime_ns);
void set_mtime_at(FdRef dir, const std::string& name, std::int64_t mtime_ns);

using Xattrs = store::Xattrs;
/// Whether trees record attributes of this name (see split_xattrs); any other belongs to the host and is on
/// all files alike.
[[nodiscard]] bool is_recorded_xattr(std::string_view name) noexcept;
[[nodiscard]] bool has_recorded_xattrs(FdRef file);
/// Of an open file or directory, sorted by name. The values of user.overlay.origin and .impure are left out.
[[nodiscard]] Xattrs read_xattrs(FdRef file);
void write_xattr(FdRef file, const std::string& key, const std::string& value);
void erase_xattr(FdRef file, const std::string& key);

/// From the start of `source` to the empty `target`: a reflink where the file system can, else extent by
/// extent, so that holes stay holes.
void copy_contents(FdRef source, FdRef target);
/// Waits for the exclusive flock of `file`, held until its description is closed.
void lock_file(FdRef file);

}  // namespace karapace::store::tree_io
