// SPDX-License-Identifier: Apache-2.0
#include "karapace/base/unique_fd.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "karapace/base/error.hpp"
#include "karapace/base/fault.hpp"
#include "karapace/base/file_at.hpp"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace karapace {

void UniqueFd::reset() noexcept {
  const int fd = std::exchange(fd_, -1);
  if (fd < 0) return;
  // A destructor between a failed call and the reader of its errno must not change it.
  const int saved = errno;
  ::close(fd);
  errno = saved;
}

void UniqueFd::close() {
  const int fd = std::exchange(fd_, -1);
  if (fd < 0) return;
  int error_number = fault::injected("close") ? errno : 0;
  // Linux frees the number before it can fail, so a second close might hit somebody else's file; EINTR
  // tells nothing about the data, which is what fsync is for.
  if (::close(fd) != 0 && errno != EINTR && error_number == 0) error_number = errno;
  if (error_number != 0) throw SystemError(error_number, "close");
}

FdRef FdRef::cwd() noexcept { return FdRef(AT_FDCWD); }

Pipe make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) throw_errno("pipe2");
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

SocketPair make_socketpair() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) throw_errno("socketpair");
  return SocketPair{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

UniqueFd duplicate(FdRef fd) {
  UniqueFd copy(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
  if (!copy) throw_errno("duplicate a descriptor");
  return copy;
}

UniqueFd make_sealed_memfd(const char* name, std::string_view content) {
  UniqueFd file(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL));
  // Linux before 6.3 does not know NOEXEC_SEAL; from then on a host may insist on it.
  if (!file && errno == EINVAL) file = UniqueFd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) throw_errno("memfd_create");
  write_all(file, content);
  if (::lseek(file.get(), 0, SEEK_SET) != 0) throw_errno("rewind a memfd");
  if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
    throw_errno("seal a memfd");
  return file;
}

}  // namespace karapace
