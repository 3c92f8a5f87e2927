// SPDX-License-Identifier: Apache-2.0
#include "karapace/runtime/package_owners.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "karapace/base/file_at.hpp"
#include "temporary_directory.hpp"

namespace karapace::runtime {
namespace {

namespace fs = std::filesystem;

class PackageOwners : public testing::Test {
 protected:
  void write(const std::string& tree, const std::string& path, const std::string& text) {
    const fs::path file = fs::path(directory_.path()) / tree / path;
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  std::string owner_of(const std::string& path) {
    std::vector<UniqueFd> trees;
    for (const auto& entry : fs::directory_iterator(directory_.path()))
      trees.push_back(open_path(entry.path().string(), O_RDONLY | O_DIRECTORY));
    auto owners = find_owners(trees, {}, {path});
    return owners.contains(path) ? owners.at(path).package : "";
  }
  std::string description_of(const std::string& path) {
    std::vector<UniqueFd> trees;
    trees.push_back(open_path(directory_.path() + "/deps", O_RDONLY | O_DIRECTORY));
    const auto owners = find_owners(trees, {}, {path});
    return owners.contains(path) ? describe(owners.at(path)) : "";
  }
  test::TemporaryDirectory directory_;
};

TEST_F(PackageOwners, FilesBelongToWhoListsThem) {
  write("base", "var/lib/dpkg/info/libc6:amd64.list",
        "/.\n/usr/bin\n/usr/bin/ldd\n/lib\n/lib/libc.so.6\n/usr/share/doc/libc6/copyright\n");
  write("deps", "var/lib/dpkg/info/git.list", "/.\n/usr\n/usr/bin\n/usr/bin/git\n/usr/lib/python3/x.py\n");
  EXPECT_EQ(owner_of("usr/bin/git"), "git");
  EXPECT_EQ(owner_of("usr/lib/libc.so.6"), "libc6") << "it was listed before /lib became a link";
  EXPECT_EQ(owner_of("usr/lib/python3/__pycache__/x.cpython-311.pyc"), "git");
  EXPECT_EQ(owner_of("var/lib/dpkg/info/libc6:amd64.list"), "libc6");
  EXPECT_EQ(owner_of("var/lib/dpkg/status"), "");
  EXPECT_EQ(owner_of("usr/bin/gi"), "");
}

TEST_F(PackageOwners, GeneratedFilesBelongToWhoseScriptsNameThemOrWhoHasTheDirectory) {
  write("deps", "var/lib/dpkg/info/a.list", "/.\n/etc\n/var/lib/a\n");
  write("deps", "var/lib/dpkg/info/b.list", "/.\n/etc\n");
  write("deps", "var/lib/dpkg/info/b.postinst", "#!/bin/sh\nmake_it > /etc/made\n");
  EXPECT_EQ(owner_of("etc/made"), "b");
  EXPECT_EQ(owner_of("etc/other"), "") << "two packages have the directory";
  EXPECT_EQ(owner_of("var/lib/a/cache"), "a");
}

TEST_F(PackageOwners, WhatNoPackageNamesIsToldWithTheNearestDirectoryThatIsOnePackagesAlone) {
  write("deps", "var/lib/dpkg/info/a.list", "/.\n/etc\n/etc/a\n/etc/shared\n/etc/only\n/etc/only/a.conf\n");
  write("deps", "var/lib/dpkg/info/b.list", "/.\n/etc\n/etc/b\n/etc/shared\n/etc/only\n");
  EXPECT_EQ(description_of("etc/a/new/deep/key"), "in a directory of package a");
  EXPECT_EQ(description_of("etc/only/key"), "in a directory of package a") << "only a has something in it";
  EXPECT_EQ(description_of("etc/shared/new/key"), "");
  EXPECT_EQ(description_of("etc/key"), "");
  EXPECT_EQ(description_of("etc/only/a.conf"), "package a");
}

TEST_F(PackageOwners, PacmanIsAskedToo) {
  write("deps", "var/lib/pacman/local/gtk-2-3.4-1/files", "%FILES%\nusr/\nusr/bin/\nusr/bin/gtk\n");
  EXPECT_EQ(owner_of("usr/bin/gtk"), "gtk-2");
}

TEST_F(PackageOwners, LinksInATreeLeadNowhere) {
  write("deps", "elsewhere/x.list", "/usr/bin/x\n");
  fs::create_directories(fs::path(directory_.path()) / "deps/var/lib/dpkg");
  fs::create_directory_symlink(fs::path(directory_.path()) / "deps/elsewhere",
                               fs::path(directory_.path()) / "deps/var/lib/dpkg/info");
  EXPECT_EQ(owner_of("usr/bin/x"), "");
}

}  // namespace
}  // namespace karapace::runtime
