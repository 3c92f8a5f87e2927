// SPDX-License-Identifier: Apache-2.0
#include "karapace/base/file_at.hpp"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "karapace/base/xattr.hpp"
#include "tests/support.hpp"

namespace karapace {
namespace {

using test::errno_of;
using test::read_file;
using test::TempDir;
using test::write_file;

void open_for_reading(FdRef dir, const std::string& path) {
  static_cast<void>(open_beneath(dir, path, O_RDONLY));
}

/// openat2 answers `error_number` from now on.
void block_openat2(unsigned error_number) {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error_number),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{static_cast<unsigned short>(std::size(filter)), filter};
  ASSERT_EQ(0, ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  ASSERT_EQ(0, ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0));
}

TEST(OpenBeneath, ASymlinkAnywhereOnTheWayIsAnError) {
  const TempDir dir;
  make_directory_at(dir.fd(), "real");
  write_file(dir.fd(), "real/file", "x");
  symlink_at("real", dir.fd(), "link");
  symlink_at("file", dir.fd(), "real/last");
  EXPECT_EQ(ELOOP, errno_of([&] { open_for_reading(dir.fd(), "link/file"); }));
  EXPECT_EQ(ELOOP, errno_of([&] { open_for_reading(dir.fd(), "real/last"); }));
  EXPECT_NO_THROW(open_for_reading(dir.fd(), "real/file"));
}

TEST(OpenBeneath, AnEscapeIsAnError) {
  const TempDir dir;
  for (const char* path : {"..", "../x", "a/../..", "/etc/passwd"}) {
    make_directory_at(dir.fd(), "a");
    EXPECT_EQ(EXDEV, errno_of([&] { open_for_reading(dir.fd(), path); })) << path;
    remove_directory_at(dir.fd(), "a");
  }
}

TEST(OpenBeneath, AbsenceIsAnAnswerOnlyOfTry) {
  const TempDir dir;
  EXPECT_FALSE(try_open_beneath(dir.fd(), "none", O_RDONLY).has_value());
  EXPECT_EQ(ErrorCode::NotFound, test::code_of([&] { open_for_reading(dir.fd(), "none"); }));
  write_file(dir.fd(), "file", "x");
  EXPECT_EQ(ENOTDIR, errno_of([&] { static_cast<void>(try_open_beneath(dir.fd(), "file/x", O_RDONLY)); }));
}

TEST(OpenBeneath, ANulByteDoesNotShortenTheName) {
  const TempDir dir;
  write_file(dir.fd(), "file", "x");
  const std::string name("file\0x", 6);
  EXPECT_EQ(ErrorCode::InvalidInput, test::code_of([&] { open_for_reading(dir.fd(), name); }));
  EXPECT_EQ(ErrorCode::InvalidInput, test::code_of([&] { unlink_at(dir.fd(), name); }));
  EXPECT_TRUE(exists_at(dir.fd(), "file"));
}

TEST(OpenBeneath, WithoutOpenat2ItSaysUnsupported) {
  const TempDir dir;
  write_file(dir.fd(), "file", "x");
  for (const int error_number : {ENOSYS, EPERM}) {
    test::in_child([&] {
      block_openat2(static_cast<unsigned>(error_number));
      EXPECT_EQ(ErrorCode::Unsupported, test::code_of([&] { open_for_reading(dir.fd(), "file"); }));
    });
  }
}

TEST(OpenInRoot, AbsoluteSymlinksMeanInside) {
  const TempDir dir;
  make_directory_at(dir.fd(), "etc");
  write_file(dir.fd(), "etc/passwd", "inside");
  symlink_at("/etc/passwd", dir.fd(), "absolute");
  symlink_at("../../../../etc/passwd", dir.fd(), "etc/up");
  for (const char* path : {"absolute", "etc/up", "/etc/passwd", "../etc/passwd"})
    EXPECT_EQ("inside", read_all(open_in_root(dir.fd(), path, O_RDONLY), 100)) << path;
  EXPECT_FALSE(try_open_in_root(dir.fd(), "/etc/shadow", O_RDONLY).has_value());
}

TEST(OpenPath, FollowsSymlinksAsUsual) {
  const TempDir dir;
  write_file(dir.fd(), "file", "x");
  symlink_at("file", dir.fd(), "link");
  EXPECT_EQ("x", read_all(open_path(dir.path() + "/link", O_RDONLY), 10));
}

TEST(AtCalls, NeverLeaveTheDirectoryThroughASymlinkOnTheWay) {
  const TempDir dir;
  make_directory_at(dir.fd(), "inside");
  make_directory_at(dir.fd(), "outside");
  write_file(dir.fd(), "outside/file", "x");
  const UniqueFd inside = open_directory(dir.fd(), "inside");
  symlink_at("../outside", inside, "way");
  EXPECT_EQ(ELOOP, errno_of([&] { static_cast<void>(stat_at(inside, "way/file")); }));
  EXPECT_EQ(ELOOP, errno_of([&] { unlink_at(inside, "way/file"); }));
  EXPECT_EQ(ELOOP, errno_of([&] { make_directory_at(inside, "way/new"); }));
  EXPECT_EQ(ELOOP, errno_of([&] { rename_at(inside, "way/file", inside, "stolen", Replace::Yes); }));
  EXPECT_EQ(ELOOP, errno_of([&] { remove_tree_at(inside, "way/file"); }));
  EXPECT_EQ(ELOOP, errno_of([&] { ensure_directory_at(inside, "way/new"); }));
  EXPECT_EQ(EXDEV, errno_of([&] { unlink_at(inside, "../outside/file"); }));
  EXPECT_EQ(ErrorCode::InvalidInput, test::code_of([&] { static_cast<void>(stat_at(inside, "..")); }));
  EXPECT_EQ("x", read_file(dir.fd(), "outside/file"));
}

TEST(StatAt, DoesNotFollowTheLastComponent) {
  const TempDir dir;
  symlink_at("nowhere", dir.fd(), "link");
  EXPECT_TRUE(S_ISLNK(stat_at(dir.fd(), "link")->st_mode));
  EXPECT_TRUE(exists_at(dir.fd(), "link"));
  EXPECT_FALSE(stat_at(dir.fd(), "none").has_value());
  EXPECT_FALSE(stat_at(dir.fd(), "none/deeper").has_value());
  EXPECT_TRUE(S_ISDIR(stat_at(dir.fd(), ".")->st_mode));
}

TEST(ReadFileAt, TakesUpToTheLimitAndRefusesOneByteMore) {
  const TempDir dir;
  for (const std::size_t size : {0U, 1U, 1000U, 65536U, 65537U, 200'000U}) {
    const std::string content(size, 'x');
    write_file(dir.fd(), "file", content);
    EXPECT_EQ(content, read_file_at(dir.fd(), "file", size));
    if (size == 0) continue;
    EXPECT_EQ(ErrorCode::InvalidInput,
              test::code_of([&] { static_cast<void>(read_file_at(dir.fd(), "file", size - 1)); }));
  }
  EXPECT_FALSE(try_read_file_at(dir.fd(), "none", 10).has_value());
}

TEST(ReadFileAt, AFifoOrADirectoryIsRefusedAndCannotHangUs) {
  const TempDir dir;
  ASSERT_EQ(0, ::mkfifoat(dir.fd().get(), "fifo", 0600));
  make_directory_at(dir.fd(), "directory");
  for (const char* name : {"fifo", "directory"})
    EXPECT_EQ(ErrorCode::InvalidInput,
              test::code_of([&] { static_cast<void>(read_file_at(dir.fd(), name, 10)); }));
}

TEST(ReadAll, StopsAtTheLimitOfAnEndlessInput) {
  const UniqueFd zeros = open_path("/dev/zero", O_RDONLY);
  EXPECT_EQ(ErrorCode::InvalidInput, test::code_of([&] { static_cast<void>(read_all(zeros, 1'000'000)); }));
}

TEST(WriteAll, ReportsAFullDevice) {
  const UniqueFd full = open_path("/dev/full", O_WRONLY);
  EXPECT_EQ(ErrorCode::NoSpace, test::code_of([&] { write_all(full, "x"); }));
}

TEST(MakeDirectoryAt, ModeIsExactWhateverTheUmask) {
  const TempDir dir;
  const test::Umask umask(0077);
  make_directory_at(dir.fd(), "a", 0755);
  EXPECT_EQ(0755U, stat_at(dir.fd(), "a")->st_mode & 07777U);
  EXPECT_EQ(ErrorCode::AlreadyExists, test::code_of([&] { make_directory_at(dir.fd(), "a"); }));
}

TEST(EnsureDirectoryAt, CreatesParentsAndMayBeCalledTwice) {
  const TempDir dir;
  for (int i = 0; i < 2; ++i) ensure_directory_at(dir.fd(), "a/b/c", 0750);
  EXPECT_EQ(0750U, stat_at(dir.fd(), "a/b/c")->st_mode & 07777U);
  ensure_directory_at(dir.fd(), "a/b/d");
  write_file(dir.fd(), "a/file", "x");
  EXPECT_EQ(ENOTDIR, errno_of([&] { ensure_directory_at(dir.fd(), "a/file/x"); }));
  EXPECT_EQ(ErrorCode::InvalidInput, test::code_of([&] { ensure_directory_at(dir.fd(), "a/../b"); }));
}

TEST(UnlinkAt, AbsenceIsAnAnswerOnlyOfTry) {
  const TempDir dir;
  write_file(dir.fd(), "file", "x");
  EXPECT_TRUE(try_unlink_at(dir.fd(), "file"));
  EXPECT_FALSE(try_unlink_at(dir.fd(), "file"));
  EXPECT_EQ(ENOENT, errno_of([&] { unlink_at(dir.fd(), "file"); }));
}

TEST(RenameAt, NoReplaceKeepsTheTargetAndSaysSo) {
  const TempDir dir;
  write_file(dir.fd(), "a", "a");
  write_file(dir.fd(), "b", "b");
  EXPECT_FALSE(rename_at(dir.fd(), "a", dir.fd(), "b", Replace::No));
  EXPECT_EQ("b", read_file(dir.fd(), "b"));
  EXPECT_TRUE(rename_at(dir.fd(), "a", dir.fd(), "b", Replace::Yes));
  EXPECT_EQ("a", read_file(dir.fd(), "b"));
  EXPECT_TRUE(rename_at(dir.fd(), "b", dir.fd(), "c", Replace::No));
  EXPECT_FALSE(exists_at(dir.fd(), "b"));
}

TEST(TryLinkAt, TellsWhatHappened) {
  const TempDir dir;
  write_file(dir.fd(), "a", "a");
  EXPECT_EQ(LinkResult::Linked, try_link_at(dir.fd(), "a", dir.fd(), "b"));
  EXPECT_EQ(LinkResult::Exists, try_link_at(dir.fd(), "a", dir.fd(), "b"));
  EXPECT_EQ(2U, stat_at(dir.fd(), "a")->st_nlink);
  EXPECT_EQ(LinkResult::NotPossible, try_link_at(open_path("/proc/self", O_PATH), "status", dir.fd(), "c"));
  EXPECT_EQ(ENOENT, errno_of([&] { try_link_at(dir.fd(), "none", dir.fd(), "d"); }));
}

TEST(UnnamedFile, HasANameOnlyWhenItGetsOneAndReplacesNobodys) {
  const TempDir dir;
  for (const bool is_named : {false, true}) {
    const auto file = try_make_unnamed_file(dir.fd(), 0644);
    ASSERT_TRUE(file) << "the temporary directory is on a file system without such files";
    write_all(*file, "content");
    EXPECT_TRUE(list_directory(dir.fd()).empty());
    if (is_named) {
      EXPECT_EQ(try_name_file_at(*file, dir.fd(), "name"), LinkResult::Linked);
      EXPECT_EQ(try_name_file_at(*file, dir.fd(), "name"), LinkResult::Exists);
    }
  }
  EXPECT_EQ(read_file_at(dir.fd(), "name", 100), "content");
}

TEST(ReadLinkAt, ReturnsTheTargetAsItIs) {
  const TempDir dir;
  const std::string longest(4095, 'x');
  symlink_at(longest, dir.fd(), "long");
  symlink_at("/a/../b\n", dir.fd(), "odd");
  EXPECT_EQ(longest, read_link_at(dir.fd(), "long"));
  EXPECT_EQ("/a/../b\n", read_link_at(dir.fd(), "odd"));
}

TEST(ListDirectory, NamesAreSortedByBytesAndComplete) {
  const TempDir dir;
  for (const char* name : {"b", "a", ".hidden", "\xff", "B", "..."}) write_file(dir.fd(), name, "");
  make_directory_at(dir.fd(), "d");
  std::string names;
  for (const DirectoryEntry& entry : list_directory(dir.fd())) names += entry.name + ",";
  EXPECT_EQ("...,.hidden,B,a,b,d,\xff,", names);
}

TEST(ListDirectory, WorksTwiceAndOnAPathDescriptor) {
  const TempDir dir;
  write_file(dir.fd(), "a", "");
  const UniqueFd path_only = open_path(dir.path(), O_PATH | O_DIRECTORY);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(1U, list_directory(dir.fd()).size());
    EXPECT_EQ(1U, list_directory(path_only).size());
  }
}

TEST(FreeBytes, IsKnownForAWritableDirectory) {
  const TempDir dir;
  EXPECT_GT(free_bytes(dir.fd()), 0U);
}

TEST(Xattr, AreListedInOrderWithEveryByteAndCanBeRemoved) {
  const TempDir dir;
  write_file(dir.fd(), "file", "x");
  make_directory_at(dir.fd(), "sub");
  write_file(dir.fd(), "sub/file", "x");
  const std::string value("\0\xff binary", 9);
  const std::string large(1000, 'v');
  for (const std::string& name :
       {std::string("file"), std::string("sub/file"), std::string("sub"), std::string(".")}) {
    EXPECT_TRUE(list_xattrs(dir.fd(), name).empty());
    set_xattr(dir.fd(), name, "user.b", value);
    set_xattr(dir.fd(), name, "user.a", large);
    set_xattr(dir.fd(), name, "user.c", "");
    const std::vector<std::pair<std::string, std::string>> expected{
        {"user.a", large}, {"user.b", value}, {"user.c", ""}};
    EXPECT_EQ(expected, list_xattrs(dir.fd(), name));
    EXPECT_TRUE(remove_xattr(dir.fd(), name, "user.b"));
    EXPECT_FALSE(remove_xattr(dir.fd(), name, "user.b"));
    EXPECT_EQ(2U, list_xattrs(dir.fd(), name).size());
  }
}

TEST(Xattr, ASymlinkIsNotFollowed) {
  const TempDir dir;
  write_file(dir.fd(), "file", "x");
  set_xattr(dir.fd(), "file", "user.a", "1");
  symlink_at("file", dir.fd(), "link");
  EXPECT_TRUE(list_xattrs(dir.fd(), "link").empty());
  EXPECT_THROW(set_xattr(dir.fd(), "link", "user.a", "2"), SystemError);
  EXPECT_EQ("1", list_xattrs(dir.fd(), "file")[0].second);
}

}  // namespace
}  // namespace karapace
