// SPDX-License-Identifier: Apache-2.0
#include "fetcher/part_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "karapace/base/error.hpp"
#include "karapace/base/fault.hpp"
#include "karapace/base/file_at.hpp"

namespace karapace::fetcher {

namespace {

// Small enough that the transfers beside it do not wait.
constexpr std::size_t kSliceBytes = std::size_t{4} * 1024 * 1024;
constexpr int kMaxOpenAttempts = 10;

UniqueFd open_part(FdRef downloads, const std::string& name) {
  try {
    return open_beneath(downloads, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600);
  } catch (const SystemError& error) {
    // Already made read-only on its way into the store, by a process that ended just there.
    if (error.error_number() != EACCES) throw;
  }
  return open_beneath(downloads, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
}

bool is_named(FdRef downloads, const std::string& name, const struct stat& file) {
  const auto now = stat_at(downloads, name);
  return now && now->st_dev == file.st_dev && now->st_ino == file.st_ino;
}

}  // namespace

std::optional<PartFile> PartFile::try_open(FdRef downloads, const std::string& sha256) {
  const std::string name = sha256 + ".part";
  // Whoever held the lock before may have moved the file into the store or removed it. What we locked then
  // has no name here any more, and the name is free or somebody else's.
  for (int attempt = 0; attempt < kMaxOpenAttempts; ++attempt) {
    auto lock = FileLock::try_acquire(open_part(downloads, name), LockMode::Exclusive);
    if (!lock) return std::nullopt;
    const struct stat file = stat_fd(lock->fd());
    if (!S_ISREG(file.st_mode)) throw Error(ErrorCode::Corrupt, "store/downloads/" + name + " is not a file");
    if (!is_named(downloads, name, file)) continue;
    const bool writable = (::fcntl(lock->fd().get(), F_GETFL) & O_ACCMODE) == O_RDWR;
    return PartFile(std::move(*lock), name, writable && file.st_nlink == 1);
  }
  return std::nullopt;
}

bool PartFile::hash_more() {
  std::vector<char> buffer(std::size_t{256} * 1024);
  for (std::size_t done = 0; done < kSliceBytes;) {
    const ssize_t count = ::read(lock_.fd().get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_errno("read store/downloads/" + name_);
    if (count == 0) return false;
    const auto length = static_cast<std::size_t>(count);
    hash_.update({buffer.data(), length});
    size_ += length;
    done += length;
  }
  return true;
}

void PartFile::append(std::string_view bytes) {
  KARAPACE_ASSERT(ours_alone_);
  write_all(lock_.fd(), bytes);
  hash_.update(bytes);
  size_ += bytes.size();
}

void PartFile::restart() {
  KARAPACE_ASSERT(ours_alone_);
  if (fault::injected("ftruncate") || ::ftruncate(lock_.fd().get(), 0) != 0 ||
      ::lseek(lock_.fd().get(), 0, SEEK_SET) < 0)
    throw_errno("truncate store/downloads/" + name_);
  hash_.reset();
  size_ = 0;
}

void PartFile::unlink(FdRef downloads) { try_unlink_at(downloads, name_); }

}  // namespace karapace::fetcher
