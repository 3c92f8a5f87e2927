// SPDX-License-Identifier: Apache-2.0
#include "karapace/base/unique_fd.hpp"

#include <sys/mman.h>
#include <sys/socket.h>

#include "karapace/base/cancel.hpp"
#include "karapace/base/log.hpp"
#include "karapace/base/progress.hpp"
#include "tests/support.hpp"

namespace karapace {
namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }
bool is_cloexec(FdRef fd) { return (::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC) != 0; }

TEST(UniqueFd, ClosesWhatItOwnsExactlyOnce) {
  Pipe pipe = make_pipe();
  const int number = pipe.read_end.get();
  {
    UniqueFd moved = std::move(pipe.read_end);
    EXPECT_FALSE(pipe.read_end);
    EXPECT_TRUE(is_open(number));
  }
  EXPECT_FALSE(is_open(number));
}

TEST(UniqueFd, AssigningClosesTheOldOneAndItselfIsHarmless) {
  Pipe pipe = make_pipe();
  const int read_number = pipe.read_end.get();
  const int write_number = pipe.write_end.get();
  pipe.read_end = std::move(pipe.write_end);
  EXPECT_FALSE(is_open(read_number));
  EXPECT_EQ(write_number, pipe.read_end.get());
  UniqueFd& same = pipe.read_end;
  pipe.read_end = std::move(same);
  EXPECT_TRUE(is_open(write_number));
}

TEST(UniqueFd, ReleaseGivesTheNumberAwayOpen) {
  Pipe pipe = make_pipe();
  const int number = pipe.read_end.release();
  pipe.read_end.reset();
  EXPECT_TRUE(is_open(number));
  const UniqueFd again(number);
}

TEST(UniqueFd, ClosingDoesNotChangeErrno) {
  errno = EXDEV;
  { const UniqueFd nonsense(1 << 20); }
  EXPECT_EQ(EXDEV, errno);
}

TEST(UniqueFd, CloseReportsAFailure) {
  UniqueFd nonsense(1 << 20);
  EXPECT_EQ(EBADF, test::errno_of([&] { nonsense.close(); }));
  EXPECT_FALSE(nonsense);
  UniqueFd empty;
  EXPECT_NO_THROW(empty.close());
}

TEST(UniqueFd, ZeroIsAnOrdinaryDescriptor) {
  UniqueFd zero(0);
  EXPECT_TRUE(zero);
  EXPECT_EQ(0, zero.release());
}

TEST(Descriptors, AreBornCloseOnExec) {
  const Pipe pipe = make_pipe();
  const SocketPair sockets = make_socketpair();
  const UniqueFd copy = duplicate(FdRef::from_raw(1));
  for (const UniqueFd* fd : {&pipe.read_end, &pipe.write_end, &sockets.a, &sockets.b, &copy})
    EXPECT_TRUE(is_cloexec(*fd));
  EXPECT_GE(copy.get(), 3);
}

TEST(Descriptors, SocketPairKeepsMessagesApart) {
  const SocketPair sockets = make_socketpair();
  ASSERT_EQ(3, ::send(sockets.a.get(), "one", 3, 0));
  ASSERT_EQ(3, ::send(sockets.a.get(), "two", 3, 0));
  char buffer[16];
  EXPECT_EQ(3, ::recv(sockets.b.get(), buffer, sizeof buffer, 0));
}

TEST(SealedMemfd, HasItsContentFromTheStartAndCannotBeChanged) {
  const UniqueFd file = make_sealed_memfd("plan", "content");
  EXPECT_TRUE(is_cloexec(file));
  EXPECT_EQ("content", read_all(file, 100));
  EXPECT_EQ(-1, ::pwrite(file.get(), "x", 1, 0));
  EXPECT_EQ(EPERM, errno);
  EXPECT_EQ(-1, ::ftruncate(file.get(), 0));
  EXPECT_EQ(-1, ::ftruncate(file.get(), 100));
  EXPECT_EQ(MAP_FAILED, ::mmap(nullptr, 7, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0));
  EXPECT_EQ(-1, ::fcntl(file.get(), F_ADD_SEALS, 0));
}

TEST(Log, LinesBelowTheLevelAreNotWritten) {
  testing::internal::CaptureStderr();
  log::debug("hidden {}", 1);
  log::warn("shown {}", 2);
  log::set_level(log::Level::Debug);
  log::debug("shown {}", 3);
  log::set_level(log::Level::Warn);
  EXPECT_EQ("karapace: warn: shown 2\nkarapace: debug: shown 3\n", testing::internal::GetCapturedStderr());
}

TEST(Log, TextCannotForgeALineOrDriveTheTerminal) {
  testing::internal::CaptureStderr();
  log::warn("{}", "name\nkarapace: error: forged\x1b[2J");
  EXPECT_EQ("karapace: warn: name\\x0akarapace: error: forged\\x1b[2J\n",
            testing::internal::GetCapturedStderr());
}

TEST(Progress, TheSinkThatIgnoresIsAlwaysThere) {
  EXPECT_EQ(&no_progress(), &no_progress());
  no_progress().step("a", "b");
  no_progress().advance(1, 2, "bytes");
  no_progress().note("c");
}

}  // namespace
}  // namespace karapace
