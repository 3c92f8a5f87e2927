// SPDX-License-Identifier: Apache-2.0
// Deleting a tree that somebody else filled: it may be deeper than our stack, wider than our memory, hold
// directories without permissions and symlinks to anywhere, and it may change while we work.
//
// A path from the top to the current directory is kept as a list of levels. Only the lowest few of them have
// an open stream, so that depth costs no descriptors. Going up to a level whose stream was closed opens ".."
// and checks that it is still the directory we came from; everything else is opened by one name, beneath its
// parent, on the same mount and never through a symlink.
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "at_path.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/fault.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"

namespace karapace {
namespace {

constexpr std::size_t kMaxStreams = 32;
// A directory that is not empty after so many passes is being filled by somebody.
constexpr int kMaxPasses = 16;
constexpr unsigned long kOneStep =
    RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;

struct CloseStream {
  void operator()(DIR* stream) const noexcept { ::closedir(stream); }
};
using Stream = std::unique_ptr<DIR, CloseStream>;

struct Level {
  std::string name;  // in the level above
  dev_t device = 0;
  ino_t inode = 0;
  Stream stream;  // empty if it had to be closed
  int passes = 0;
};

Stream make_stream(UniqueFd directory) {
  Stream stream(::fdopendir(directory.get()));
  if (!stream) throw_errno("read a directory");
  static_cast<void>(directory.release());
  return stream;
}

class TreeRemover {
 public:
  explicit TreeRemover(int parent) : parent_(parent) {}

  /// `name` is a directory in the parent.
  void run(const std::string& name) {
    if (!descend(parent_, name)) return;
    while (!levels_.empty()) {
      if (const auto subdirectory = empty_current()) {
        descend(current(), *subdirectory);
      } else {
        ascend();
      }
    }
  }

 private:
  [[nodiscard]] int current() const { return ::dirfd(levels_.back().stream.get()); }

  /// For messages: the way from the top, without what is in the middle of a very deep tree.
  [[nodiscard]] std::string describe_path(const std::string& name) const {
    std::string path;
    for (const Level& level : levels_) {
      if (path.size() > 400) {
        path += ".../";
        break;
      }
      path += level.name + "/";
    }
    return describe("delete", path + name);
  }

  [[noreturn]] void fail(int error_number, const std::string& name) const {
    if (error_number == EXDEV)
      throw Error(ErrorCode::Busy, fmt::format("{}: a file system is mounted there", describe_path(name)),
                  "Unmount it and try again.");
    throw SystemError(error_number, describe_path(name));
  }

  /// A directory nobody may read, like the overlay's work/work: the owner may still change that.
  [[nodiscard]] UniqueFd open_unreadable(int parent, const std::string& name) const {
    const UniqueFd handle(
        openat2_retrying(parent, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, kOneStep));
    if (!handle) return {};
    // By descriptor, so that a symlink put there meanwhile does not pass the change on; fchmod refuses
    // O_PATH.
    const std::string self = fmt::format("/proc/self/fd/{}", handle.get());
    if (fault::injected("chmod") || ::chmod(self.c_str(), 0700) != 0) return {};
    return UniqueFd(::openat(handle.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }

  /// False if it was gone.
  bool descend(int parent, const std::string& name) {
    UniqueFd directory(
        openat2_retrying(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, kOneStep));
    if (!directory && errno == EACCES) directory = open_unreadable(parent, name);
    if (!directory && errno == ENOENT) return false;
    if (!directory) fail(errno, name);
    const struct stat info = stat_fd(directory);
    // Without write and search permission nothing in it can be deleted. If we may not change that, the
    // deletion that follows tells.
    if ((info.st_mode & 0700U) != 0700U) static_cast<void>(::fchmod(directory.get(), 0700));
    Level level;
    level.name = name;
    level.device = info.st_dev;
    level.inode = info.st_ino;
    level.stream = make_stream(std::move(directory));
    levels_.push_back(std::move(level));
    if (levels_.size() > kMaxStreams) levels_[levels_.size() - 1 - kMaxStreams].stream.reset();
    return true;
  }

  /// Deletes what is no directory. Returns the first directory it meets, or nothing at the end.
  std::optional<std::string> empty_current() {
    DIR* stream = levels_.back().stream.get();
    while (true) {
      errno = 0;
      const dirent* entry = ::readdir(stream);
      if (entry == nullptr && errno != 0) fail(errno, ".");
      if (entry == nullptr) return std::nullopt;
      std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      if (entry->d_type == DT_DIR) return name;
      if (fault::injected("unlink")) fail(errno, name);
      if (::unlinkat(current(), name.c_str(), 0) == 0 || errno == ENOENT) continue;
      const int error_number = errno;
      // The file system did not say what it is, or it became a directory meanwhile.
      const auto info = stat_at(FdRef::from_raw(current()), name);
      if (info && S_ISDIR(info->st_mode)) return name;
      fail(error_number, name);
    }
  }

  /// The current directory was read to its end: delete it and go on in the one above.
  void ascend() {
    const std::size_t depth = levels_.size();
    if (depth > 1 && !levels_[depth - 2].stream) reopen_above(levels_[depth - 2]);
    const int above = depth > 1 ? ::dirfd(levels_[depth - 2].stream.get()) : parent_;
    Level& level = levels_.back();
    if (fault::injected("rmdir")) fail(errno, "");
    if (::unlinkat(above, level.name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) {
      levels_.pop_back();
      return;
    }
    const int error_number = errno;
    const bool not_empty = error_number == ENOTEMPTY || error_number == EEXIST;
    // Some file systems skip entries while others of the directory are deleted.
    if (!not_empty || ++level.passes >= kMaxPasses) fail(error_number, "");
    ::rewinddir(level.stream.get());
  }

  void reopen_above(Level& above) {
    UniqueFd directory(::openat(current(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory) fail(errno, "..");
    const struct stat info = stat_fd(directory);
    if (info.st_dev != above.device || info.st_ino != above.inode)
      throw Error(ErrorCode::Conflict,
                  fmt::format("{}: it was moved while it was deleted", describe_path("")));
    above.stream = make_stream(std::move(directory));
  }

  int parent_;
  std::vector<Level> levels_;
};

}  // namespace

bool remove_tree_at(FdRef dir, const std::string& name) {
  const auto info = stat_at(dir, name);
  if (!info) return false;
  if (!S_ISDIR(info->st_mode)) return try_unlink_at(dir, name);
  const AtPath at(dir, name);
  TreeRemover(at.dir()).run(at.name());
  return true;
}

}  // namespace karapace
