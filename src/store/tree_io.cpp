// SPDX-License-Identifier: Apache-2.0
#include "tree_io.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>

#include "karapace/base/error.hpp"
#include "karapace/base/fault.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"

namespace karapace::store::tree_io {
namespace {

constexpr std::int64_t kNanoseconds = 1'000'000'000;
constexpr std::size_t kXattrBytes = 65536;  // XATTR_LIST_MAX and XATTR_SIZE_MAX

std::string quote(const char* what, const std::string& name) {
  return fmt::format("{} \"{}\"", what, printable(name));
}

/// A file system may have times that 64 bits of nanoseconds cannot hold: before 1678, after 2261. They become
/// the next whole second that can be held.
std::int64_t nanoseconds_of(const timespec& time) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max() / kNanoseconds - 1;
  if (time.tv_sec > kMost) return kMost * kNanoseconds;
  if (time.tv_sec < -kMost) return -kMost * kNanoseconds;
  return time.tv_sec * kNanoseconds + time.tv_nsec;
}

FileInfo convert(const struct stat& info) {
  FileInfo result;
  result.device = info.st_dev;
  result.inode = info.st_ino;
  result.links = info.st_nlink;
  result.size = static_cast<std::uint64_t>(info.st_size);
  result.special_device = info.st_rdev;
  result.mtime_ns = nanoseconds_of(info.st_mtim);
  result.mode = info.st_mode;
  result.uid = info.st_uid;
  result.gid = info.st_gid;
  return result;
}

std::array<timespec, 2> times(std::int64_t mtime_ns) {
  std::int64_t seconds = mtime_ns / kNanoseconds;
  std::int64_t rest = mtime_ns % kNanoseconds;
  if (rest < 0) {  // before 1970
    --seconds;
    rest += kNanoseconds;
  }
  const timespec time{static_cast<time_t>(seconds), static_cast<long>(rest)};
  return {time, time};
}

std::optional<std::string> xattr_value(int file, const std::string& key) {
  std::string value(256, '\0');
  ssize_t length = ::fgetxattr(file, key.c_str(), value.data(), value.size());
  if (length < 0 && errno == ERANGE) {
    value.resize(kXattrBytes);
    length = ::fgetxattr(file, key.c_str(), value.data(), value.size());
  }
  if (length < 0 && errno == ENODATA) return std::nullopt;
  if (length < 0) throw_errno(quote("read the attribute", key));
  value.resize(static_cast<std::size_t>(length));
  return value;
}

template <class Visit>
void for_each_attribute_name(FdRef file, const Visit& visit) {
  // Enough for what nearly all files have, and no second call to ask for the size.
  std::array<char, 512> few;  // NOLINT(*-member-init): the kernel fills it
  std::string many;
  const char* names = few.data();
  ssize_t length = ::flistxattr(file.get(), few.data(), few.size());
  if (length < 0 && errno == ERANGE) {
    many.resize(kXattrBytes);
    names = many.data();
    length = ::flistxattr(file.get(), many.data(), many.size());
  }
  if (length < 0 && errno == EOPNOTSUPP) return;
  if (length < 0) throw_errno("list the attributes");
  for (std::string_view rest(names, static_cast<std::size_t>(length)); !rest.empty();) {
    std::string key(rest.substr(0, rest.find('\0')));
    rest.remove_prefix(std::min(key.size() + 1, rest.size()));
    visit(std::move(key));
  }
}

/// On every file that was copied up, and never looked into.
bool is_overlay_note(std::string_view key) {
  return key == "user.overlay.origin" || key == "user.overlay.impure";
}

/// One extent. copy_file_range shares blocks or stays in the kernel where it can.
void copy_range(int source, int target, off_t begin, off_t end) {
  std::string buffer;
  while (begin < end) {
    const auto want = static_cast<std::size_t>(end - begin);
    if (fault::injected("write")) throw_errno("copy");
    if (buffer.empty()) {
      off_t in = begin;
      off_t out = begin;
      const ssize_t copied = ::copy_file_range(source, &in, target, &out, want, 0);
      if (copied > 0) {
        begin += copied;
        continue;
      }
      if (copied < 0 && errno == EINTR) continue;
      const bool other_way = copied == 0 || errno == EXDEV || errno == EINVAL || errno == ENOSYS ||
                             errno == EOPNOTSUPP || errno == EPERM || errno == ETXTBSY;
      if (!other_way) throw_errno("copy");
      buffer.resize(256 * 1024);
    }
    const ssize_t got = ::pread(source, buffer.data(), std::min(want, buffer.size()), begin);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_errno("read");
    if (got == 0) throw Error(ErrorCode::Conflict, "a file became shorter while it was copied");
    const ssize_t put = ::pwrite(target, buffer.data(), static_cast<std::size_t>(got), begin);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) throw_errno("write");
    begin += put;
  }
}

}  // namespace

FileInfo info_at(FdRef dir, const std::string& name) {
  struct stat info {};
  if (::fstatat(dir.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) throw_errno(quote("stat", name));
  return convert(info);
}

FileInfo info_of(FdRef file) { return convert(stat_fd(file)); }

UniqueFd open_tree_dir(FdRef root, const std::string& path) {
  return open_beneath(root, path.empty() ? std::string(".") : path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

UniqueFd open_entry(FdRef dir, const std::string& name) {
  if (auto file = try_open_entry(dir, name)) return std::move(*file);
  throw SystemError(ENOENT, quote("open", name));
}

std::optional<UniqueFd> try_open_entry(FdRef dir, const std::string& name) {
  constexpr int kFlags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
  try {
    // The first look at a file would else write its time of access, and with it its inode, for nobody.
    return try_open_beneath(dir, name, kFlags | O_NOATIME);
  } catch (const SystemError& error) {
    if (error.error_number() != EPERM) throw;  // open(2): only the owner may
    return try_open_beneath(dir, name, kFlags);
  }
}

UniqueFd create_file(FdRef dir, const std::string& name) {
  return open_beneath(dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
}

void make_fifo(FdRef dir, const std::string& name) {
  if (fault::injected("mknod") || ::mkfifoat(dir.get(), name.c_str(), 0600) != 0)
    throw_errno(quote("make the FIFO", name));
}

void make_whiteout(FdRef dir, const std::string& name) {
  if (fault::injected("mknod") || ::mknodat(dir.get(), name.c_str(), S_IFCHR, 0) != 0) {
    throw_errno(quote("make the whiteout", name));
  }
}

void set_mode(FdRef file, std::uint32_t mode) {
  if (fault::injected("chmod") || ::fchmod(file.get(), mode) != 0) throw_errno("chmod");
}

void set_owner(FdRef dir, const std::string& name, std::uint32_t uid, std::uint32_t gid) {
  const int flags = AT_SYMLINK_NOFOLLOW | (name.empty() ? AT_EMPTY_PATH : 0);
  if (fault::injected("chown") || ::fchownat(dir.get(), name.c_str(), uid, gid, flags) != 0) {
    throw_errno(fmt::format("give \"{}\" to {}:{}", printable(name), uid, gid));
  }
}

void set_mtime(FdRef file, std::int64_t mtime_ns) {
  const auto value = times(mtime_ns);
  if (fault::injected("utime") || ::futimens(file.get(), value.data()) != 0) throw_errno("set the time");
}

void set_mtime_at(FdRef dir, const std::string& name, std::int64_t mtime_ns) {
  const auto value = times(mtime_ns);
  if (fault::injected("utime") ||
      ::utimensat(dir.get(), name.c_str(), value.data(), AT_SYMLINK_NOFOLLOW) != 0) {
    throw_errno(quote("set the time of", name));
  }
}

bool is_recorded_xattr(std::string_view name) noexcept {
  return name.starts_with("user.") || name == "security.capability" || name.starts_with("system.posix_acl_");
}

bool has_recorded_xattrs(FdRef file) {
  bool found = false;
  for_each_attribute_name(file, [&](const std::string& key) { found = found || is_recorded_xattr(key); });
  return found;
}

Xattrs read_xattrs(FdRef file) {
  Xattrs attributes;
  for_each_attribute_name(file, [&](std::string key) {
    if (is_overlay_note(key)) {
      attributes.emplace_back(std::move(key), std::string());
    } else if (auto value = xattr_value(file.get(), key)) {
      attributes.emplace_back(std::move(key), std::move(*value));
    }
  });
  if (attributes.size() > 1) std::ranges::sort(attributes);
  return attributes;
}

void write_xattr(FdRef file, const std::string& key, const std::string& value) {
  if (fault::injected("setxattr") ||
      ::fsetxattr(file.get(), key.c_str(), value.data(), value.size(), 0) != 0) {
    throw_errno(quote("set the attribute", key));
  }
}

void erase_xattr(FdRef file, const std::string& key) {
  if (!fault::injected("removexattr") && ::fremovexattr(file.get(), key.c_str()) == 0) return;
  if (errno != ENODATA) throw_errno(quote("remove the attribute", key));
}

void copy_contents(FdRef source, FdRef target) {
  if (fault::injected("write")) throw_errno("copy");
  if (::ioctl(target.get(), FICLONE, source.get()) == 0) return;
  const auto size = static_cast<off_t>(info_of(source).size);
  if (fault::injected("truncate") || ::ftruncate(target.get(), size) != 0) throw_errno("set the size");
  for (off_t position = 0; position < size;) {
    const off_t data = ::lseek(source.get(), position, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;  // a hole to the end
    if (data < 0) throw_errno("look for data");
    off_t hole = ::lseek(source.get(), data, SEEK_HOLE);
    if (hole < 0) throw_errno("look for a hole");
    hole = std::min(hole, size);
    copy_range(source.get(), target.get(), data, hole);
    position = hole;
  }
}

void lock_file(FdRef file) {
  // Under a crash lab it sees who waits, and says when to look again.
  const int wait = fault::in_lab() ? LOCK_NB : 0;
  while (::flock(file.get(), LOCK_EX | wait) != 0) {
    if (errno == EWOULDBLOCK && !fault::injected("flock", file.get())) continue;
    if (errno != EINTR) throw_errno("flock");
  }
}

}  // namespace karapace::store::tree_io
