// SPDX-License-Identifier: Apache-2.0
// Becomes an ordinary user (if it is root) and then root of a user namespace that maps this one id, before
// any test runs.
#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"

namespace {

constexpr uid_t kOrdinaryUser = 65534;

void write_proc(const char* path, const std::string& text) {
  karapace::write_all(karapace::open_path(path, O_WRONLY), text);
}

void become_root_of_single_id_namespace() {
  if (::geteuid() == 0) {
    if (::setgroups(0, nullptr) != 0 || ::setresgid(kOrdinaryUser, kOrdinaryUser, kOrdinaryUser) != 0 ||
        ::setresuid(kOrdinaryUser, kOrdinaryUser, kOrdinaryUser) != 0) {
      karapace::throw_errno("drop to an ordinary user");
    }
    // Or /proc/self would belong to root.
    if (::prctl(PR_SET_DUMPABLE, 1) != 0) karapace::throw_errno("prctl");
  }
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  if (::unshare(CLONE_NEWUSER) != 0) karapace::throw_errno("unshare");
  write_proc("/proc/self/setgroups", "deny");
  write_proc("/proc/self/uid_map", fmt::format("0 {} 1\n", uid));
  write_proc("/proc/self/gid_map", fmt::format("0 {} 1\n", gid));
}

}  // namespace

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  try {
    become_root_of_single_id_namespace();
  } catch (const karapace::Error& error) {
    const bool must_run = std::getenv("KARAPACE_TESTS_MUST_RUN") != nullptr;
    fmt::print(stderr, "{}: {}\n", must_run ? "failed" : "skipped, no user namespaces here", error.what());
    return must_run ? 1 : 0;
  }
  return RUN_ALL_TESTS();
}
