// SPDX-License-Identifier: Apache-2.0
#include "karapace/base/error.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>

namespace karapace {
namespace {

TEST(Error, ContextIsAddedFromTheInsideOut) {
  try {
    with_context([] { return "building dev"; },
                 [] {
                   with_context([] { return "reading the lock"; },
                                [] { throw Error(ErrorCode::Corrupt, "bad checksum", "Run it again."); });
                 });
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ("building dev: reading the lock: bad checksum", error.what());
    EXPECT_EQ(ErrorCode::Corrupt, error.code());
    EXPECT_EQ("Run it again.", error.fix());
  }
}

TEST(Error, ContextIsNotComputedWithoutAnError) {
  const int result = with_context(
      []() -> std::string {
        ADD_FAILURE();
        return {};
      },
      [] { return 7; });
  EXPECT_EQ(7, result);
}

TEST(Error, ContextKeepsTheDerivedType) {
  EXPECT_THROW(with_context([] { return "outer"; }, [] { throw SystemError(EIO, "write"); }), SystemError);
}

TEST(Error, CancelledIsNotAnError) {
  try {
    throw Cancelled(15);
  } catch (const Error&) {
    FAIL() << "Ctrl-C would be swallowed";
  } catch (const Cancelled& cancelled) {
    EXPECT_EQ(15, cancelled.signal_number());
  }
}

TEST(SystemError, MessageEndsWithTextAndNameOfTheErrno) {
  const SystemError error(ENOENT, "open \"x\"");
  EXPECT_STREQ("open \"x\": No such file or directory (ENOENT)", error.what());
  EXPECT_EQ(ErrorCode::NotFound, error.code());
  EXPECT_EQ(ENOENT, error.error_number());
}

TEST(SystemError, FullDiskIsNoSpaceAndSaysWhatToDo) {
  for (const int number : {ENOSPC, EDQUOT}) {
    const SystemError error(number, "write");
    EXPECT_EQ(ErrorCode::NoSpace, error.code());
    EXPECT_NE("", error.fix());
  }
}

TEST(SystemError, ALimitOnFileSizesIsNoInputOfTheUsersAndSaysWhatToRaise) {
  const SystemError error(EFBIG, "write");
  EXPECT_EQ(ErrorCode::Unsupported, error.code());
  EXPECT_NE(std::string::npos, error.fix().find("ulimit -f"));
}

TEST(SystemError, ThrowErrnoReadsTheErrnoOfTheFailedCall) {
  try {
    errno = EACCES;
    throw_errno("open");
  } catch (const SystemError& error) {
    EXPECT_EQ(EACCES, error.error_number());
    EXPECT_EQ(ErrorCode::PermissionDenied, error.code());
  }
}

TEST(SystemError, UnknownErrnoIsShownAsNumber) { EXPECT_EQ("unknown error (9999)", errno_text(9999)); }

TEST(ErrorCode, EveryCodeHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (int code = 0; code <= static_cast<int>(ErrorCode::Internal); ++code)
    names.insert(to_string(static_cast<ErrorCode>(code)));
  EXPECT_EQ(static_cast<std::size_t>(ErrorCode::Internal) + 1, names.size());
  EXPECT_EQ("invalid_input", to_string(ErrorCode::InvalidInput));
  EXPECT_EQ("no_space", to_string(ErrorCode::NoSpace));
}

TEST(ProcessError, SaysStatusSignalAndTheLastLineOfStderr) {
  EXPECT_STREQ("apt-get ended with status 100: E: no such package",
               ProcessError("apt-get", 100, "Reading...\nE: no such package\n\n").what());
  EXPECT_STREQ("dpkg ended with status 137 (SIGKILL)", ProcessError("dpkg", 137, "").what());
}

TEST(ProcessError, StderrCannotDriveTheTerminal) {
  const std::string message = ProcessError("x", 1, "\x1b[2Jgone").what();
  EXPECT_EQ(std::string::npos, message.find('\x1b'));
}

TEST(CorruptError, CarriesWhatWasExpectedAndFound) {
  const CorruptError error("object abc", "d1", "d2");
  EXPECT_STREQ("object abc is corrupt: expected d1, found d2", error.what());
  EXPECT_EQ("d1", error.expected());
  EXPECT_EQ("d2", error.found());
  EXPECT_EQ(ErrorCode::Corrupt, error.code());
}

TEST(AssertDeathTest, ABrokenAssertionNamesTheExpressionAndAborts) {
  EXPECT_DEATH(KARAPACE_ASSERT(1 + 1 == 3), "bug: .*error_test.cpp:.*1 \\+ 1 == 3 does not hold");
}

}  // namespace
}  // namespace karapace
