// SPDX-License-Identifier: Apache-2.0
#include "karapace/base/durable.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "at_path.hpp"
#include "karapace/base/clock.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/fault.hpp"
#include "karapace/base/file_at.hpp"

namespace karapace {
namespace {

/// A new file with a random name that is deleted unless it was renamed into place.
class TemporaryFile {
 public:
  explicit TemporaryFile(FdRef dir) : dir_(dir), name_(std::string(kTemporaryPrefix) + random_hex(12)) {
    // Nobody else may read it before it has its final mode.
    file_ = open_beneath(dir, name_, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (placed_) return;
    // A left-over is harmless and the error that brought us here is the one to report.
    if (!fault::injected("unlink")) ::unlinkat(dir_.get(), name_.c_str(), 0);
  }

  /// Mode before fsync: a crash must not leave the file in place with another one.
  void fill(std::string_view content, mode_t mode) {
    write_all(file_, content);
    if (fault::injected("chmod") || ::fchmod(file_.get(), mode) != 0) throw_errno("chmod");
    sync_file(file_);
    file_.close();
  }

  /// False if `replace` is No and there is one already.
  bool place(const std::string& name, Replace replace) {
    placed_ = rename_at(dir_, name_, dir_, name, replace);
    return placed_;
  }

 private:
  FdRef dir_;
  std::string name_;
  UniqueFd file_;
  bool placed_ = false;
};

bool write_durably(FdRef dir, const std::string& path, std::string_view content, mode_t mode,
                   Replace replace) {
  const AtPath at(dir, path);
  const FdRef parent = FdRef::from_raw(at.dir());
  TemporaryFile temporary(parent);
  temporary.fill(content, mode);
  const bool placed = temporary.place(at.name(), replace);
  sync_directory(parent);
  return placed;
}

void sync_descriptor(int fd, const char* what) {
  if (fault::injected("fsync", fd)) throw_errno(what);
  int result = 0;
  do {
    result = ::fsync(fd);
  } while (result != 0 && errno == EINTR);
  if (result != 0) throw_errno(what);
}

}  // namespace

void replace_file(FdRef dir, const std::string& name, std::string_view content, mode_t mode) {
  with_context([&] { return describe("write", name); },
               [&] { write_durably(dir, name, content, mode, Replace::Yes); });
}

Published publish_object(FdRef dir, const std::string& name, std::string_view content, mode_t mode) {
  return with_context([&] { return describe("write", name); },
                      [&] {
                        if (exists_at(dir, name)) {
                          // Whoever put it there may not have come to this yet, and we promise that it
                          // survives.
                          const AtPath at(dir, name);
                          sync_directory(FdRef::from_raw(at.dir()));
                          return Published::AlreadyThere;
                        }
                        const bool placed = write_durably(dir, name, content, mode, Replace::No);
                        return placed ? Published::New : Published::AlreadyThere;
                      });
}

void sync_file(FdRef file) { sync_descriptor(file.get(), "fsync"); }

void sync_directory(FdRef dir) {
  // The caller's may be O_PATH or the working directory, which cannot be synced as they are.
  const UniqueFd own(::openat(dir.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!own) throw_errno("open a directory to sync it");
  sync_descriptor(own.get(), "fsync of a directory");
}

void sync_filesystem(FdRef any_file) {
  if (fault::injected("syncfs", any_file.get()) || ::syncfs(any_file.get()) != 0) throw_errno("syncfs");
}

}  // namespace karapace
