// SPDX-License-Identifier: Apache-2.0
#include "karapace/base/file_lock.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <system_error>
#include <thread>

#include "karapace/base/cancel.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/fault.hpp"

namespace karapace {
namespace {

int operation_for(LockMode mode) noexcept { return mode == LockMode::Shared ? LOCK_SH : LOCK_EX; }

/// 0 or an errno.
int lock(int fd, int operation) noexcept {
  while (::flock(fd, operation) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

/// Under a crash lab: it sees who waits, and says when to look again.
int lock_in_lab(int fd, int operation) noexcept {
  while (true) {
    const int error_number = lock(fd, operation | LOCK_NB);
    if (error_number != EWOULDBLOCK) return error_number;
    if (fault::injected("flock", fd)) return errno;
  }
}

/// One blocking flock(2) in a thread of its own. A signal interrupts only the thread that gets it, and one
/// that comes just before flock interrupts nothing; this way the caller can poll, and Ctrl-C works always.
struct Waiter {
  UniqueFd file;  // same open file description as the caller's, so the lock it gets is the caller's
  UniqueFd done;
  int error_number = 0;

  void wait(int operation) noexcept {
    error_number = lock(file.get(), operation);
    // Before telling: the caller may let go at once, and this copy would keep the lock. If the caller gave up
    // meanwhile, this was the last copy and frees it.
    file.reset();
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(done.get(), &one, sizeof one);
  }
};

std::thread start(const std::shared_ptr<Waiter>& waiter, int operation) {
  // A new thread inherits the mask: signals are for those who look at the token.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread;
  int error_number = 0;
  try {
    thread = std::thread([waiter, operation]() noexcept { waiter->wait(operation); });
  } catch (const std::system_error& error) {
    error_number = error.code().value();
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error_number != 0) throw SystemError(error_number, "start a thread that waits for a lock");
  return thread;
}

void wait_for_lock(FdRef file, int operation) {
  const CancelToken& token = CancelToken::process();
  const auto waiter = std::make_shared<Waiter>();
  waiter->file = duplicate(file);
  waiter->done = UniqueFd(::eventfd(0, EFD_CLOEXEC));
  if (!waiter->done) throw_errno("eventfd");
  std::thread thread = start(waiter, operation);
  while (true) {
    pollfd fds[] = {{waiter->done.get(), POLLIN, 0}, {token.poll_fd().get(), POLLIN, 0}};
    const int ready = ::poll(fds, 2, -1);
    if (ready < 0 && errno == EINTR) continue;
    if (fds[0].revents != 0) break;
    // The thread cannot be called back. It holds nothing of ours and ends when the lock is free.
    thread.detach();
    token.check();
    throw Error(ErrorCode::Internal, "waiting for a lock was interrupted without a reason");
  }
  thread.join();
  if (waiter->error_number != 0) throw SystemError(waiter->error_number, "flock");
}

}  // namespace

std::optional<FileLock> FileLock::try_acquire(UniqueFd file, LockMode mode) {
  const int error_number = lock(file.get(), operation_for(mode) | LOCK_NB);
  if (error_number == 0) return FileLock(std::move(file));
  if (error_number == EWOULDBLOCK) return std::nullopt;
  throw SystemError(error_number, "flock");
}

FileLock FileLock::acquire(UniqueFd file, LockMode mode, const std::function<void()>& on_wait) {
  const int error_number = lock(file.get(), operation_for(mode) | LOCK_NB);
  if (error_number == 0) return FileLock(std::move(file));
  if (error_number != EWOULDBLOCK) throw SystemError(error_number, "flock");
  if (on_wait) on_wait();
  if (fault::in_lab()) {
    const int result = lock_in_lab(file.get(), operation_for(mode));
    if (result != 0) throw SystemError(result, "flock");
    return FileLock(std::move(file));
  }
  wait_for_lock(file, operation_for(mode));
  return FileLock(std::move(file));
}

}  // namespace karapace
