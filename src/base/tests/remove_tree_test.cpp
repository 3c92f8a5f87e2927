// SPDX-License-Identifier: Apache-2.0
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "tests/support.hpp"

namespace karapace {
namespace {

using test::TempDir;
using test::write_file;

/// `depth` directories in one another below `dir`, each with a file beside the next one.
void make_deep(FdRef dir, const std::string& name, int depth) {
  make_directory_at(dir, name);
  UniqueFd current = open_directory(dir, name);
  for (int i = 1; i < depth; ++i) {
    write_file(current, "file", "x");
    make_directory_at(current, "d");
    current = open_directory(current, "d");
  }
}

/// Every fiftieth entry is a directory.
void make_wide(FdRef dir, const std::string& name, int entries) {
  make_directory_at(dir, name);
  const UniqueFd wide = open_directory(dir, name);
  for (int i = 0; i < entries; ++i) {
    const std::string entry = std::to_string(i);
    if (i % 50 == 0) {
      ASSERT_EQ(0, ::mkdirat(wide.get(), entry.c_str(), 0700));
    } else {
      ASSERT_EQ(0, ::mknodat(wide.get(), entry.c_str(), S_IFREG | 0600, 0));
    }
  }
}

TEST(RemoveTree, AbsenceIsAnAnswer) {
  const TempDir dir;
  EXPECT_FALSE(remove_tree_at(dir.fd(), "none"));
  write_file(dir.fd(), "file", "x");
  EXPECT_TRUE(remove_tree_at(dir.fd(), "file"));
  EXPECT_FALSE(exists_at(dir.fd(), "file"));
}

TEST(RemoveTree, DeletesATreeMuchDeeperThanPathsOrDescriptorsAllow) {
  const TempDir dir(test::memory_directory());
  make_deep(dir.fd(), "deep", 5000);
  test::in_child([&] {
    const rlimit few{64, 64};
    ASSERT_EQ(0, ::setrlimit(RLIMIT_NOFILE, &few));
    EXPECT_TRUE(remove_tree_at(dir.fd(), "deep"));
  });
  EXPECT_FALSE(exists_at(dir.fd(), "deep"));
}

TEST(RemoveTree, GoesOnBesideADeepBranch) {
  const TempDir dir(test::memory_directory());
  make_directory_at(dir.fd(), "top");
  const UniqueFd top = open_directory(dir.fd(), "top");
  for (int i = 0; i < 5; ++i) make_deep(top, "branch" + std::to_string(i), 100);
  EXPECT_TRUE(remove_tree_at(dir.fd(), "top"));
  EXPECT_TRUE(list_directory(dir.fd()).empty());
}

TEST(RemoveTree, DeletesADirectoryWithAHundredThousandEntries) {
  const TempDir dir(test::memory_directory());
  make_wide(dir.fd(), "wide", 100'000);
  EXPECT_TRUE(remove_tree_at(dir.fd(), "wide"));
  EXPECT_FALSE(exists_at(dir.fd(), "wide"));
}

TEST(RemoveTree, DeletingWhileReadingMissesNothingOnTheDisk) {
  const TempDir dir;
  make_wide(dir.fd(), "wide", 3000);
  EXPECT_TRUE(remove_tree_at(dir.fd(), "wide"));
  EXPECT_FALSE(exists_at(dir.fd(), "wide"));
}

TEST(RemoveTree, NeverFollowsASymlink) {
  const TempDir dir;
  make_directory_at(dir.fd(), "keep");
  write_file(dir.fd(), "keep/file", "x");
  make_directory_at(dir.fd(), "tree");
  symlink_at("../keep", dir.fd(), "tree/directory");
  symlink_at(dir.path() + "/keep/file", dir.fd(), "tree/file");
  symlink_at("keep", dir.fd(), "link");
  EXPECT_TRUE(remove_tree_at(dir.fd(), "tree"));
  EXPECT_TRUE(remove_tree_at(dir.fd(), "link"));
  EXPECT_EQ("x", test::read_file(dir.fd(), "keep/file"));
}

TEST(RemoveTree, DirectoriesWithoutPermissionsAreNoObstacleForTheirOwner) {
  const TempDir dir;
  test::as_unprivileged(dir, [&] {
    make_directory_at(dir.fd(), "tree");
    const UniqueFd tree = open_directory(dir.fd(), "tree");
    for (const mode_t mode : {0000U, 0100U, 0200U, 0300U, 0400U, 0500U, 0600U}) {
      const std::string name = "mode" + std::to_string(mode);
      ensure_directory_at(tree, name + "/inner");
      write_file(tree, name + "/inner/file", "x");
      ASSERT_EQ(0, ::fchmodat(tree.get(), (name + "/inner").c_str(), mode, 0));
      ASSERT_EQ(0, ::fchmodat(tree.get(), name.c_str(), mode, 0));
    }
    ASSERT_EQ(0, ::fchmod(tree.get(), 0));
    EXPECT_TRUE(remove_tree_at(dir.fd(), "tree"));
    EXPECT_TRUE(list_directory(dir.fd()).empty());
  });
}

TEST(RemoveTree, WhatMayNotBeDeletedIsReportedWithItsPath) {
  const TempDir dir;
  if (::geteuid() != 0) {
    // Only root can make what somebody else may not delete; others find it in the system.
    EXPECT_EQ(ErrorCode::PermissionDenied,
              test::code_of([] { remove_tree_at(open_path("/etc", O_PATH), "passwd"); }));
    return;
  }
  ensure_directory_at(dir.fd(), "tree/foreign");
  write_file(dir.fd(), "tree/foreign/file", "x");
  ASSERT_EQ(0, ::fchmodat(dir.fd().get(), "tree", 0755, 0));
  test::as_unprivileged(dir, [&] {
    try {
      remove_tree_at(dir.fd(), "tree");
      ADD_FAILURE() << "deleted";
    } catch (const Error& error) {
      EXPECT_EQ(ErrorCode::PermissionDenied, error.code());
      EXPECT_NE(std::string::npos, error.message().find("tree/foreign")) << error.what();
    }
  });
  EXPECT_TRUE(exists_at(dir.fd(), "tree/foreign/file"));
}

TEST(RemoveTree, AMountedFileSystemIsNotEntered) {
  const TempDir dir;
  ensure_directory_at(dir.fd(), "tree/mounted");
  ensure_directory_at(dir.fd(), "outside");
  write_file(dir.fd(), "outside/file", "x");
  const int status = test::status_in_child([&] {
    if (::unshare(CLONE_NEWNS) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) ::_exit(77);
    ASSERT_EQ(0, ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr));
    // A bind mount has the same device number: only the kernel can tell that it is another mount.
    const std::string target = dir.path() + "/tree/mounted";
    ASSERT_EQ(0, ::mount((dir.path() + "/outside").c_str(), target.c_str(), nullptr, MS_BIND, nullptr));
    // Opened anew: the test's own descriptor is still in the old mount namespace.
    const UniqueFd here = open_path(dir.path(), O_RDONLY | O_DIRECTORY);
    EXPECT_EQ(ErrorCode::Busy, test::code_of([&] { remove_tree_at(here, "tree"); }));
  });
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
    ASSERT_EQ(nullptr, std::getenv("KARAPACE_TESTS_MUST_RUN")) << "mount namespaces are not allowed here";
    GTEST_SKIP() << "mount namespaces are not allowed here";
  }
  EXPECT_EQ(0, status);
  EXPECT_EQ("x", test::read_file(dir.fd(), "outside/file"));
}

}  // namespace
}  // namespace karapace
