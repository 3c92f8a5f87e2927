// SPDX-License-Identifier: Apache-2.0
#include "karapace/base/file_at.hpp"

#include <dirent.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "at_path.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/fault.hpp"
#include "karapace/base/rel_path.hpp"
#include "karapace/base/text.hpp"

namespace karapace {
namespace {

constexpr unsigned long kBeneath = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
constexpr unsigned long kInRoot = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
constexpr std::size_t kMaxLinkBytes = 4096;

UniqueFd open_resolved(FdRef dir, const std::string& path, int flags, mode_t mode, unsigned long resolve) {
  UniqueFd fd(openat2_retrying(dir.get(), c_path(path), flags, mode, resolve));
  if (!fd) throw_errno(describe("open", path));
  return fd;
}

std::optional<UniqueFd> try_open_resolved(FdRef dir, const std::string& path, int flags,
                                          unsigned long resolve) {
  UniqueFd fd(openat2_retrying(dir.get(), c_path(path), flags, 0, resolve));
  if (fd) return fd;
  if (errno == ENOENT) return std::nullopt;
  throw_errno(describe("open", path));
}

[[noreturn]] void too_large(std::string_view what, std::size_t limit) {
  throw Error(ErrorCode::InvalidInput, fmt::format("{} is larger than {} bytes", what, limit));
}

enum class Source : std::uint8_t { File, Stream };

/// `expected` only says how much to make room for at first. A file of that size has ended there, as a read
/// that gives less than it was asked for says; a stream may still go on.
std::string read_to_end(FdRef fd, std::size_t limit, std::size_t expected, Source source) {
  // One byte above what is expected tells "all" from "more" without room for a whole chunk, and one above the
  // limit "more" from "exactly".
  std::string content(std::min(expected, limit) + 1, '\0');
  std::size_t used = 0;
  while (true) {
    if (used == content.size())
      content.resize(std::min(std::max(2 * used, std::size_t{64 * 1024}), limit + 1));
    const ssize_t got = ::read(fd.get(), content.data() + used, content.size() - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_errno("read");
    if (got == 0) break;
    used += static_cast<std::size_t>(got);
    if (used > limit) too_large("the input", limit);
    if (source == Source::File && used == expected) break;
  }
  content.resize(used);
  if (content.capacity() > 2 * used) content.shrink_to_fit();
  return content;
}

std::string read_regular(FdRef file, const std::string& path, std::size_t limit) {
  const struct stat info = stat_fd(file);
  if (!S_ISREG(info.st_mode))
    throw Error(ErrorCode::InvalidInput, fmt::format("\"{}\" is not a regular file", printable(path)));
  if (static_cast<std::uint64_t>(info.st_size) > limit)
    too_large(fmt::format("\"{}\"", printable(path)), limit);
  return with_context(
      [&] { return describe("read", path); },
      [&] { return read_to_end(file, limit, static_cast<std::size_t>(info.st_size), Source::File); });
}

// O_NOCTTY and O_NONBLOCK: whatever lies there instead of a file must not block us or become our terminal.
constexpr int kReadFlags = O_RDONLY | O_NONBLOCK | O_NOCTTY;

LinkResult link_failure(int error_number, const std::string& from, const std::string& to) {
  switch (error_number) {
    case EEXIST:
      return LinkResult::Exists;
    case EMLINK:
    case EXDEV:
    case EPERM:
    case EOPNOTSUPP:
      return LinkResult::NotPossible;
    default:
      throw SystemError(error_number, fmt::format("link \"{}\" to \"{}\"", printable(from), printable(to)));
  }
}

/// Absence of the file or of a directory on the way to it.
bool is_absence(const SystemError& error) {
  return error.error_number() == ENOENT || error.error_number() == ENOTDIR;
}

}  // namespace

UniqueFd open_beneath(FdRef dir, const std::string& path, int flags, mode_t mode) {
  return open_resolved(dir, path, flags, mode, kBeneath);
}

std::optional<UniqueFd> try_open_beneath(FdRef dir, const std::string& path, int flags) {
  return try_open_resolved(dir, path, flags, kBeneath);
}

UniqueFd open_in_root(FdRef root, const std::string& path, int flags) {
  return open_resolved(root, path, flags, 0, kInRoot);
}

std::optional<UniqueFd> try_open_in_root(FdRef root, const std::string& path, int flags) {
  return try_open_resolved(root, path, flags, kInRoot);
}

UniqueFd open_path(const std::string& path, int flags, mode_t mode) {
  const char* name = c_path(path);
  int fd = -1;
  if ((flags & (O_CREAT | O_TRUNC)) != 0 && fault::injected("open")) throw_errno(describe("open", path));
  do {
    fd = ::open(name, flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) throw_errno(describe("open", path));
  return UniqueFd(fd);
}

std::string absolute_path(const std::string& path) {
  std::error_code failure;
  const std::filesystem::path absolute = std::filesystem::absolute(path.empty() ? "." : path, failure);
  if (failure) {
    throw Error(ErrorCode::NotFound, "the current directory does not exist any more",
                "Change to one that does (cd ~), or give absolute paths.");
  }
  return absolute.lexically_normal().string();
}

UniqueFd open_directory(FdRef dir, const std::string& path) {
  return open_beneath(dir, path, O_RDONLY | O_DIRECTORY);
}

std::optional<struct stat> stat_at(FdRef dir, const std::string& name) {
  try {
    const AtPath at(dir, name);
    struct stat info {};
    if (::fstatat(at.dir(), at.name(), &info, AT_SYMLINK_NOFOLLOW) == 0) return info;
    // No exception: asking for what is not there is an everyday thing, and a throw takes longer than the
    // call.
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    throw_errno(describe("stat", name));
  } catch (const SystemError& error) {
    if (is_absence(error)) return std::nullopt;
    throw;
  }
}

struct stat stat_fd(FdRef fd) {
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) throw_errno("stat an open file");
  return info;
}

bool exists_at(FdRef dir, const std::string& name) { return stat_at(dir, name).has_value(); }

std::string read_file_at(FdRef dir, const std::string& path, std::size_t limit) {
  return read_regular(open_beneath(dir, path, kReadFlags), path, limit);
}

std::optional<std::string> try_read_file_at(FdRef dir, const std::string& path, std::size_t limit) {
  const auto file = try_open_beneath(dir, path, kReadFlags);
  if (!file) return std::nullopt;
  return read_regular(*file, path, limit);
}

std::string read_all(FdRef fd, std::size_t limit, std::size_t expected) {
  return read_to_end(fd, limit, expected, Source::Stream);
}

void write_all(FdRef fd, std::string_view content) {
  while (!content.empty()) {
    if (fault::injected("write")) throw_errno("write");
    const ssize_t written = ::write(fd.get(), content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_errno("write");
    // Nothing written and no error would be an endless loop; a full disk is the only way to get here.
    if (written == 0) throw SystemError(ENOSPC, "write");
    content.remove_prefix(static_cast<std::size_t>(written));
  }
}

void make_directory_at(FdRef dir, const std::string& name, mode_t mode) {
  const AtPath at(dir, name);
  if (fault::injected("mkdir") || ::mkdirat(at.dir(), at.name(), mode) != 0)
    throw_errno(describe("mkdir", name));
  // The umask may have taken bits away.
  if (fault::injected("chmod") || ::fchmodat(at.dir(), at.name(), mode, 0) != 0)
    throw_errno(describe("chmod", name));
}

void ensure_directory_at(FdRef dir, const std::string& path, mode_t mode) {
  const RelPath checked = RelPath::parse(path);
  if (try_open_beneath(dir, path, O_PATH | O_DIRECTORY)) return;
  UniqueFd parent;
  int current = dir.get();
  for (std::string_view rest = checked.str(); !rest.empty();) {
    const auto slash = std::min(rest.find('/'), rest.size());
    const std::string component(rest.substr(0, slash));
    rest.remove_prefix(std::min(slash + 1, rest.size()));
    const FdRef here = FdRef::from_raw(current);
    try {
      make_directory_at(here, component, mode);
    } catch (const SystemError& error) {
      if (error.error_number() != EEXIST) throw;
    }
    parent = open_beneath(here, component, O_PATH | O_DIRECTORY);
    current = parent.get();
  }
}

void unlink_at(FdRef dir, const std::string& name) {
  const AtPath at(dir, name);
  if (fault::injected("unlink") || ::unlinkat(at.dir(), at.name(), 0) != 0)
    throw_errno(describe("delete", name));
}

bool try_unlink_at(FdRef dir, const std::string& name) {
  try {
    const AtPath at(dir, name);
    if (!fault::injected("unlink") && ::unlinkat(at.dir(), at.name(), 0) == 0) return true;
    if (errno == ENOENT || errno == ENOTDIR) return false;
    throw_errno(describe("delete", name));
  } catch (const SystemError& error) {
    if (is_absence(error)) return false;
    throw;
  }
}

void remove_directory_at(FdRef dir, const std::string& name) {
  const AtPath at(dir, name);
  if (fault::injected("rmdir") || ::unlinkat(at.dir(), at.name(), AT_REMOVEDIR) != 0)
    throw_errno(describe("delete the directory", name));
}

bool rename_at(FdRef from_dir, const std::string& from, FdRef to_dir, const std::string& to,
               Replace replace) {
  const AtPath source(from_dir, from);
  const AtPath target(to_dir, to);
  const unsigned flags = replace == Replace::No ? RENAME_NOREPLACE : 0;
  if (!fault::injected("rename") &&
      ::renameat2(source.dir(), source.name(), target.dir(), target.name(), flags) == 0)
    return true;
  const int error_number = errno;
  if (replace == Replace::No && error_number == EEXIST) return false;
  if (replace == Replace::No && error_number == EINVAL)
    throw Error(ErrorCode::Unsupported,
                fmt::format("the file system of \"{}\" cannot rename without replacing", printable(to)),
                "Use a local file system such as ext4, xfs, btrfs or tmpfs.");
  throw SystemError(error_number, fmt::format("rename \"{}\" to \"{}\"", printable(from), printable(to)));
}

LinkResult try_link_at(FdRef from_dir, const std::string& from, FdRef to_dir, const std::string& to) {
  const AtPath source(from_dir, from);
  const AtPath target(to_dir, to);
  if (!fault::injected("link") && ::linkat(source.dir(), source.name(), target.dir(), target.name(), 0) == 0)
    return LinkResult::Linked;
  return link_failure(errno, from, to);
}

std::optional<UniqueFd> try_make_unnamed_file(FdRef dir, mode_t mode) {
  try {
    return open_beneath(dir, ".", O_WRONLY | O_TMPFILE, mode);
  } catch (const SystemError& error) {
    if (error.error_number() == EOPNOTSUPP || error.error_number() == EISDIR) return std::nullopt;
    throw;
  }
}

LinkResult try_name_file_at(FdRef file, FdRef dir, const std::string& name) {
  const AtPath target(dir, name);
  // Linking the descriptor itself needs a capability; its magic link does not.
  const std::string source = fmt::format("/proc/self/fd/{}", file.get());
  if (!fault::injected("link") &&
      ::linkat(AT_FDCWD, source.c_str(), target.dir(), target.name(), AT_SYMLINK_FOLLOW) == 0)
    return LinkResult::Linked;
  return link_failure(errno, "a new file", name);
}

void symlink_at(const std::string& target, FdRef dir, const std::string& name) {
  const AtPath at(dir, name);
  if (fault::injected("symlink") || ::symlinkat(c_path(target), at.dir(), at.name()) != 0)
    throw_errno(describe("create the symlink", name));
}

std::string read_link_at(FdRef dir, const std::string& name) {
  const AtPath at(dir, name);
  std::string target(kMaxLinkBytes, '\0');
  const ssize_t length = ::readlinkat(at.dir(), at.name(), target.data(), target.size());
  if (length < 0) throw_errno(describe("read the symlink", name));
  // A target ends at PATH_MAX - 1, so a full buffer would be a cut one.
  if (static_cast<std::size_t>(length) == target.size())
    throw SystemError(ENAMETOOLONG, describe("read the symlink", name));
  target.resize(static_cast<std::size_t>(length));
  return target;
}

void for_each_name(
    FdRef dir,
    const std::function<void(std::string_view name, unsigned char type, std::uint64_t inode)>& visit) {
  // A description of its own: the position of the caller's stays, and it may be O_PATH. getdents64 itself,
  // because readdir(3) asks the kernel three more questions for each directory.
  const UniqueFd own(::openat(dir.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!own) throw_errno("open a directory for reading");
  alignas(dirent64) std::array<char, 32 * 1024> buffer;  // NOLINT(*-member-init): the kernel fills it
  while (true) {
    const ssize_t length = ::getdents64(own.get(), buffer.data(), buffer.size());
    if (length < 0) throw_errno("read a directory");
    if (length == 0) return;
    for (ssize_t at = 0; at < length;) {
      const auto* entry = reinterpret_cast<const dirent64*>(buffer.data() + at);
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") visit(name, entry->d_type, entry->d_ino);
      at += entry->d_reclen;
    }
  }
}

std::vector<DirectoryEntry> list_directory(FdRef dir) {
  std::vector<DirectoryEntry> entries;
  for_each_name(dir, [&](std::string_view name, unsigned char type, std::uint64_t inode) {
    entries.push_back(DirectoryEntry{std::string(name), type, inode});
  });
  std::ranges::sort(entries, {}, &DirectoryEntry::name);
  return entries;
}

std::uint64_t free_bytes(FdRef fd) {
  struct statvfs info {};
  if (::fstatvfs(fd.get(), &info) != 0) throw_errno("ask for the free space");
  return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
}

}  // namespace karapace
