// SPDX-License-Identifier: Apache-2.0
#include "karapace/base/file_lock.hpp"

#include <poll.h>
#include <signal.h>

#include "karapace/base/cancel.hpp"
#include "tests/support.hpp"

namespace karapace {
namespace {

using test::TempDir;

UniqueFd lock_file(const TempDir& dir) { return open_beneath(dir.fd(), "lock", O_RDWR | O_CREAT); }

std::optional<FileLock> try_lock(const TempDir& dir, LockMode mode) {
  return FileLock::try_acquire(lock_file(dir), mode);
}

bool is_readable(FdRef fd) {
  pollfd entry{fd.get(), POLLIN, 0};
  return ::poll(&entry, 1, 0) == 1;
}

class FileLockWaiting : public testing::Test {
 protected:
  void TearDown() override { CancelToken::process().reset(); }
  TempDir dir_;
};

TEST(FileLock, ExclusiveExcludesEverybodyAndSharedOnlyExclusive) {
  const TempDir dir;
  {
    const auto exclusive = try_lock(dir, LockMode::Exclusive);
    ASSERT_TRUE(exclusive.has_value());
    EXPECT_FALSE(try_lock(dir, LockMode::Exclusive).has_value());
    EXPECT_FALSE(try_lock(dir, LockMode::Shared).has_value());
  }
  const auto first = try_lock(dir, LockMode::Shared);
  const auto second = try_lock(dir, LockMode::Shared);
  EXPECT_TRUE(first.has_value() && second.has_value());
  EXPECT_FALSE(try_lock(dir, LockMode::Exclusive).has_value());
}

TEST(FileLock, IsFreeWhenItsHolderIsKilled) {
  const TempDir dir;
  Pipe locked = make_pipe();
  const pid_t pid = ::fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    const auto lock = try_lock(dir, LockMode::Exclusive);
    write_all(locked.write_end, lock ? "y" : "n");
    for (;;) ::pause();
  }
  char answer = 0;
  ASSERT_EQ(1, ::read(locked.read_end.get(), &answer, 1));
  EXPECT_EQ('y', answer);
  EXPECT_FALSE(try_lock(dir, LockMode::Exclusive).has_value());
  ::kill(pid, SIGKILL);
  ASSERT_EQ(pid, ::waitpid(pid, nullptr, 0));
  EXPECT_TRUE(try_lock(dir, LockMode::Exclusive).has_value());
}

TEST(FileLock, LivesAsLongAsTheReleasedDescriptor) {
  const TempDir dir;
  UniqueFd kept = FileLock::acquire(lock_file(dir), LockMode::Exclusive).release();
  EXPECT_FALSE(try_lock(dir, LockMode::Exclusive).has_value());
  kept.reset();
  EXPECT_TRUE(try_lock(dir, LockMode::Exclusive).has_value());
}

TEST(FileLock, AFreeLockIsTakenWithoutWaiting) {
  const TempDir dir;
  const FileLock lock =
      FileLock::acquire(lock_file(dir), LockMode::Exclusive, [] { ADD_FAILURE() << "waited"; });
  EXPECT_GE(lock.fd().get(), 0);
}

TEST(FileLock, AFailingLockCallIsNotTakenForHeld) {
  const TempDir dir;
  const auto path_only = [&] { return open_path(dir.path(), O_PATH); };
  EXPECT_EQ(EBADF,
            test::errno_of([&] { static_cast<void>(FileLock::try_acquire(path_only(), LockMode::Shared)); }));
  EXPECT_EQ(EBADF,
            test::errno_of([&] { static_cast<void>(FileLock::acquire(path_only(), LockMode::Shared)); }));
}

TEST_F(FileLockWaiting, GetsTheLockWhenItsHolderLetsGo) {
  auto holder = try_lock(dir_, LockMode::Exclusive);
  int waits = 0;
  std::optional<FileLock> lock = FileLock::acquire(lock_file(dir_), LockMode::Exclusive, [&] {
    ++waits;
    holder.reset();
  });
  EXPECT_EQ(1, waits);
  EXPECT_FALSE(try_lock(dir_, LockMode::Shared).has_value());
  lock.reset();
  EXPECT_TRUE(try_lock(dir_, LockMode::Exclusive).has_value()) << "the waiting thread kept a copy";
}

TEST_F(FileLockWaiting, CancellationThrowsAndTheLockIsNotKept) {
  auto holder = try_lock(dir_, LockMode::Exclusive);
  const auto wait = [&] {
    static_cast<void>(FileLock::acquire(lock_file(dir_), LockMode::Exclusive,
                                        [] { CancelToken::process().request(SIGINT); }));
  };
  EXPECT_THROW(wait(), Cancelled);
  CancelToken::process().reset();
  holder.reset();
  // The abandoned wait may get it for an instant, and then frees it.
  EXPECT_NO_THROW(static_cast<void>(FileLock::acquire(lock_file(dir_), LockMode::Exclusive)));
}

TEST_F(FileLockWaiting, ARealSignalEndsTheWait) {
  const auto holder = try_lock(dir_, LockMode::Exclusive);
  test::in_child([&] {
    install_cancel_handlers();
    try {
      static_cast<void>(FileLock::acquire(lock_file(dir_), LockMode::Shared, [] { ::raise(SIGTERM); }));
      ADD_FAILURE() << "got a lock that somebody holds";
    } catch (const Cancelled& cancelled) {
      EXPECT_EQ(SIGTERM, cancelled.signal_number());
    }
  });
}

TEST(CancelToken, IsReadableOnceRequestedUntilReset) {
  CancelToken token;
  EXPECT_FALSE(token.requested());
  EXPECT_FALSE(is_readable(token.poll_fd()));
  EXPECT_NO_THROW(token.check());
  token.request(SIGINT);
  token.request(SIGTERM);
  EXPECT_TRUE(is_readable(token.poll_fd()));
  EXPECT_EQ(SIGINT, token.signal_number()) << "the first one counts";
  EXPECT_THROW(token.check(), Cancelled);
  token.reset();
  EXPECT_FALSE(token.requested());
  EXPECT_FALSE(is_readable(token.poll_fd()));
}

TEST(CancelToken, TheFirstSignalRequestsAndTheSecondEndsTheProcess) {
  for (const int signal_number : {SIGINT, SIGTERM, SIGHUP}) {
    const int status = test::status_in_child([&] {
      install_cancel_handlers();
      ::raise(signal_number);
      if (CancelToken::process().signal_number() != signal_number) ::_exit(99);
      ::raise(signal_number);
    });
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(128 + signal_number, WEXITSTATUS(status));
  }
}

TEST(CancelToken, ASignalThatWasIgnoredStaysIgnored) {
  test::in_child([] {
    ::signal(SIGHUP, SIG_IGN);
    install_cancel_handlers();
    ::raise(SIGHUP);
    EXPECT_FALSE(CancelToken::process().requested());
  });
}

TEST(CancelToken, ASignalInterruptsABlockingCall) {
  test::in_child([] {
    install_cancel_handlers();
    const Pipe pipe = make_pipe();
    const pid_t parent = ::getpid();
    const pid_t sender = ::fork();
    if (sender == 0) {
      // It cannot know when the parent blocks, so it goes on until the parent ends it. One SIGINT more would
      // end the parent: hence the harmless SIGWINCH, for which only SA_RESTART matters.
      for (;;) {
        ::kill(parent, SIGWINCH);
        ::sched_yield();
      }
    }
    struct sigaction action {};
    ASSERT_EQ(0, ::sigaction(SIGINT, nullptr, &action));
    EXPECT_EQ(0, action.sa_flags & SA_RESTART);
    action.sa_handler = [](int) {};
    ASSERT_EQ(0, ::sigaction(SIGWINCH, &action, nullptr));
    char byte = 0;
    EXPECT_EQ(-1, ::read(pipe.read_end.get(), &byte, 1));
    EXPECT_EQ(EINTR, errno);
    ::kill(sender, SIGKILL);
    while (::waitpid(sender, nullptr, 0) < 0 && errno == EINTR) {
    }
  });
}

}  // namespace
}  // namespace karapace
