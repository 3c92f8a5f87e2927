// SPDX-License-Identifier: Apache-2.0
// Ownership of file descriptors. Every descriptor is born O_CLOEXEC.
#pragma once

#include <string_view>
#include <utility>

namespace karapace {

class FdRef;

/// Owns one descriptor. Move-only; -1 is empty (0 is a normal descriptor).
class UniqueFd {
 public:
  UniqueFd() noexcept = default;
  explicit UniqueFd(int fd) noexcept : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  [[nodiscard]] explicit operator bool() const noexcept { return fd_ >= 0; }
  /// The number, for system calls in base/ and in karapace-init only.
  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  /// Closes without looking at the result: right for anything that was only read.
  void reset() noexcept;
  /// Closes and reports: needed after writing. Throws SystemError. Never retried (close(2)).
  void close();

 private:
  int fd_ = -1;
};

/// Borrows a descriptor for one call. Converts from UniqueFd, which must outlive the call.
class FdRef {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): borrowing is the point
  FdRef(const UniqueFd& fd) noexcept : fd_(fd.get()) {}
  /// For the standard streams and AT_FDCWD.
  [[nodiscard]] static FdRef from_raw(int fd) noexcept { return FdRef(fd); }
  [[nodiscard]] static FdRef cwd() noexcept;
  [[nodiscard]] int get() const noexcept { return fd_; }

 private:
  explicit FdRef(int fd) noexcept : fd_(fd) {}
  int fd_;
};

struct Pipe {
  UniqueFd read_end;
  UniqueFd write_end;
};
[[nodiscard]] Pipe make_pipe();

struct SocketPair {
  UniqueFd a;
  UniqueFd b;
};
/// AF_UNIX, SOCK_SEQPACKET.
[[nodiscard]] SocketPair make_socketpair();

/// A duplicate from 3 up, O_CLOEXEC.
[[nodiscard]] UniqueFd duplicate(FdRef fd);

/// An anonymous file with `content`, sealed against any change, offset 0.
[[nodiscard]] UniqueFd make_sealed_memfd(const char* name, std::string_view content);

}  // namespace karapace
