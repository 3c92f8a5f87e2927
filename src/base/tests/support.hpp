// SPDX-License-Identifier: Apache-2.0
// What the tests of base share.
#pragma once

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/unique_fd.hpp"

namespace karapace::test {

/// Where the system keeps files in memory, for trees so large that a busy disk would make the test slow.
inline std::string memory_directory() { return ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"; }

/// A directory, below $TMPDIR if nothing is said, that is gone after the test.
class TempDir {
 public:
  TempDir() : TempDir(default_base()) {}
  explicit TempDir(const std::string& base) : path_(base + "/karapace-base-XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) throw_errno("mkdtemp");
    owner_ = ::getpid();
    fd_ = open_path(path_, O_RDONLY | O_DIRECTORY);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    if (::getpid() != owner_) return;  // a forked copy
    try {
      const auto slash = path_.rfind('/');
      remove_tree_at(open_path(path_.substr(0, slash), O_RDONLY | O_DIRECTORY), path_.substr(slash + 1));
    } catch (const Error& error) {
      ADD_FAILURE() << error.what();
    }
  }
  [[nodiscard]] FdRef fd() const { return fd_; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  static std::string default_base() {
    const char* base = std::getenv("TMPDIR");
    return base != nullptr ? base : "/tmp";
  }

  std::string path_;
  UniqueFd fd_;
  pid_t owner_ = -1;
};

inline void write_file(FdRef dir, const std::string& name, std::string_view content, mode_t mode = 0600) {
  UniqueFd file = open_beneath(dir, name, O_WRONLY | O_CREAT | O_TRUNC, mode);
  write_all(file, content);
  file.close();
}

inline std::string read_file(FdRef dir, const std::string& name) { return read_file_at(dir, name, 1 << 24); }

/// The status of a forked child that runs `body`, as waitpid tells it. Expectations that fail in it make
/// it 1.
template <typename Body>
int status_in_child(Body&& body) {
  ::fflush(nullptr);
  const pid_t pid = ::fork();
  if (pid == 0) {
    try {
      std::forward<Body>(body)();
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what();
    }
    ::fflush(nullptr);
    ::_exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = -1;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

template <typename Body>
void in_child(Body&& body) {
  EXPECT_EQ(0, status_in_child(std::forward<Body>(body)));
}

/// Root ignores permissions: give it up, so that they mean something in the test.
template <typename Body>
void as_unprivileged(const TempDir& dir, Body&& body) {
  constexpr uid_t kNobody = 65534;
  in_child([&] {
    if (::geteuid() == 0) {
      ASSERT_EQ(0, ::chown(dir.path().c_str(), kNobody, kNobody));
      ASSERT_EQ(0, ::setgroups(0, nullptr));
      ASSERT_EQ(0, ::setresgid(kNobody, kNobody, kNobody));
      ASSERT_EQ(0, ::setresuid(kNobody, kNobody, kNobody));
    }
    body();
  });
}

/// The code of the Error that `body` throws.
template <typename Body>
ErrorCode code_of(Body&& body) {
  try {
    std::forward<Body>(body)();
  } catch (const Error& error) {
    EXPECT_STRNE("", error.what());
    return error.code();
  }
  ADD_FAILURE() << "nothing was thrown";
  return ErrorCode::Internal;
}

template <typename Body>
int errno_of(Body&& body) {
  try {
    std::forward<Body>(body)();
  } catch (const SystemError& error) {
    return error.error_number();
  }
  ADD_FAILURE() << "no SystemError was thrown";
  return 0;
}

class Umask {
 public:
  explicit Umask(mode_t mask) : before_(::umask(mask)) {}
  Umask(const Umask&) = delete;
  Umask& operator=(const Umask&) = delete;
  ~Umask() { ::umask(before_); }

 private:
  mode_t before_;
};

}  // namespace karapace::test
