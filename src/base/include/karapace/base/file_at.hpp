// SPDX-License-Identifier: Apache-2.0
// Files relative to an open directory. Two ways in:
//  open_beneath: layouts that are ours. A symlink is an error (ELOOP), an escape is an error (EXDEV).
//  open_in_root: looking into a root file system, where absolute symlinks mean "inside".
// Both are openat2(2); without it (Linux < 5.6, or a seccomp filter) they throw Unsupported.
// Where another function takes a name with slashes, the directories on the way are opened as by open_beneath.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "karapace/base/unique_fd.hpp"

namespace karapace {

/// O_CLOEXEC is added. `mode` is used with O_CREAT only.
[[nodiscard]] UniqueFd open_beneath(FdRef dir, const std::string& path, int flags, mode_t mode = 0600);
/// Same, but absence (ENOENT) is an answer.
[[nodiscard]] std::optional<UniqueFd> try_open_beneath(FdRef dir, const std::string& path, int flags);
[[nodiscard]] UniqueFd open_in_root(FdRef root, const std::string& path, int flags);
[[nodiscard]] std::optional<UniqueFd> try_open_in_root(FdRef root, const std::string& path, int flags);
/// A path the user typed: symlinks are followed as usual.
[[nodiscard]] UniqueFd open_path(const std::string& path, int flags, mode_t mode = 0600);
[[nodiscard]] UniqueFd open_directory(FdRef dir, const std::string& path);  // open_beneath + O_DIRECTORY

/// Without resolving links. NotFound if it is relative and the current directory was removed.
[[nodiscard]] std::string absolute_path(const std::string& path);

/// lstat below `dir`; nothing if it does not exist. Never follows the last component.
[[nodiscard]] std::optional<struct stat> stat_at(FdRef dir, const std::string& name);
[[nodiscard]] struct stat stat_fd(FdRef fd);
[[nodiscard]] bool exists_at(FdRef dir, const std::string& name);

/// Reads a whole regular file. Throws InvalidInput above `limit` bytes or if it is not a regular file
/// (O_NONBLOCK is used to open, so a FIFO cannot hang us).
[[nodiscard]] std::string read_file_at(FdRef dir, const std::string& path, std::size_t limit);
[[nodiscard]] std::optional<std::string> try_read_file_at(FdRef dir, const std::string& path,
                                                          std::size_t limit);
/// Reads until end of file, at most `limit` bytes (more: InvalidInput). `expected` is what to make room for
/// at first: for a large file whose size is known, because growing takes the double of it.
[[nodiscard]] std::string read_all(FdRef fd, std::size_t limit,
                                   std::size_t expected = std::size_t{64} * 1024);
void write_all(FdRef fd, std::string_view content);

/// `mode` is exact, the umask does not matter.
void make_directory_at(FdRef dir, const std::string& name, mode_t mode = 0700);
/// May be called twice; creates parents too.
void ensure_directory_at(FdRef dir, const std::string& path, mode_t mode = 0700);
void unlink_at(FdRef dir, const std::string& name);
/// False if it was not there.
bool try_unlink_at(FdRef dir, const std::string& name);
void remove_directory_at(FdRef dir, const std::string& name);
enum class Replace { Yes, No };
/// rename(2); Replace::No is RENAME_NOREPLACE. Returns false if No and the target exists.
bool rename_at(FdRef from_dir, const std::string& from, FdRef to_dir, const std::string& to, Replace replace);
enum class LinkResult { Linked, Exists, NotPossible };
/// Hard link. NotPossible for EMLINK, EXDEV, EPERM and EOPNOTSUPP: the caller copies instead.
LinkResult try_link_at(FdRef from_dir, const std::string& from, FdRef to_dir, const std::string& to);
/// A file for writing that has no name, and goes with its last descriptor unless it gets one. Nothing where
/// the file system has no such files.
[[nodiscard]] std::optional<UniqueFd> try_make_unnamed_file(FdRef dir, mode_t mode);
LinkResult try_name_file_at(FdRef file, FdRef dir, const std::string& name);
void symlink_at(const std::string& target, FdRef dir, const std::string& name);
[[nodiscard]] std::string read_link_at(FdRef dir, const std::string& name);

struct DirectoryEntry {
  std::string name;
  unsigned char type;   // DT_*; DT_UNKNOWN where the file system does not say
  std::uint64_t inode;  // not below a mount point, and on some overlays not what stat(2) says
};
/// Calls `visit` with each name but "." and "..", in the order of the file system, which the view of the name
/// does not outlive.
void for_each_name(
    FdRef dir,
    const std::function<void(std::string_view name, unsigned char type, std::uint64_t inode)>& visit);
/// The same as a list, in bytewise order.
[[nodiscard]] std::vector<DirectoryEntry> list_directory(FdRef dir);

/// Deletes `name` below `dir` with everything in it, however deep, without following a symlink and
/// without leaving the file system tree of `dir`. Directories without permissions are made writable
/// first. Returns false if it was not there. Not durable until sync_directory.
bool remove_tree_at(FdRef dir, const std::string& name);

/// Bytes that an unprivileged user can still write to the file system of `fd`.
[[nodiscard]] std::uint64_t free_bytes(FdRef fd);

}  // namespace karapace
