// SPDX-License-Identifier: Apache-2.0
#include "at_path.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "karapace/base/error.hpp"
#include "karapace/base/fault.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"

namespace karapace {
namespace {

// EAGAIN means that a rename or mount raced with the lookup; EINTR that a signal came while opening.
constexpr int kMaxAttempts = 128;

/// O_TMPFILE contains O_DIRECTORY, so one common bit is not enough. openat2 refuses a mode for anything else.
bool creates(int flags) noexcept { return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE; }

int openat2_once(int dir, const char* path, int flags, mode_t mode, unsigned long resolve) noexcept {
  open_how how{};
  how.flags = static_cast<unsigned>(flags | O_CLOEXEC);
  how.mode = creates(flags) ? mode : 0;
  how.resolve = resolve;
  return static_cast<int>(::syscall(SYS_openat2, dir, path, &how, sizeof how));
}

/// A seccomp filter that does not know openat2 may answer EPERM, but so may the file: ask for one that
/// cannot.
bool openat2_is_missing(int error_number) noexcept {
  if (error_number == ENOSYS) return true;
  if (error_number != EPERM) return false;
  const UniqueFd probe(openat2_once(AT_FDCWD, "/", O_PATH | O_DIRECTORY, 0, 0));
  return !probe && (errno == EPERM || errno == ENOSYS);
}

}  // namespace

std::string describe(std::string_view operation, std::string_view path) {
  return fmt::format("{} \"{}\"", operation, printable(path));
}

const char* c_path(const std::string& path) {
  if (path.find('\0') != std::string::npos)
    throw Error(ErrorCode::InvalidInput, fmt::format("\"{}\" has a NUL byte", printable(path)));
  return path.c_str();
}

int openat2_retrying(int dir, const char* path, int flags, mode_t mode, unsigned long resolve) {
  if ((creates(flags) || (flags & O_TRUNC) != 0) && fault::injected("open")) return -1;
  int fd = -1;
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    fd = openat2_once(dir, path, flags, mode, resolve);
    if (fd >= 0 || (errno != EINTR && errno != EAGAIN)) break;
  }
  if (fd >= 0) return fd;
  const int error_number = errno;
  if (openat2_is_missing(error_number))
    throw Error(ErrorCode::Unsupported,
                fmt::format("the kernel does not allow openat2: {}", errno_text(error_number)),
                "Use Linux 5.6 or newer, and a container or sandbox whose seccomp filter lets openat2 pass.");
  errno = error_number;
  return -1;
}

AtPath::AtPath(FdRef dir, const std::string& path) : dir_(dir.get()), name_(c_path(path)) {
  const auto slash = path.rfind('/');
  if (slash != std::string::npos) {
    parent_ = open_beneath(dir, path.substr(0, slash), O_PATH | O_DIRECTORY);
    dir_ = parent_.get();
    name_ = path.substr(slash + 1);
  }
  if (name_ == ".." || name_.empty())
    throw Error(ErrorCode::InvalidInput, fmt::format("\"{}\" does not name a file", printable(path)));
}

}  // namespace karapace
