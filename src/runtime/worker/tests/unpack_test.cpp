// SPDX-License-Identifier: Apache-2.0
#include "worker/unpack.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "karapace/base/error.hpp"
#include "karapace/base/xattr.hpp"
#include "worker/checksum.hpp"
#include "worker/tests/scratch.hpp"
#include "worker/tests/tar_text.hpp"

namespace karapace::worker {
namespace {

class Unpack : public ::testing::Test {
 protected:
  void run(const std::string& archive, const std::string& sha256 = {}) {
    scratch_.write("archive", archive);
    target_ = scratch_.make_directory("target");
    const UniqueFd file = open_beneath(scratch_.fd(), "archive", O_RDONLY);
    unpack_archive(file, target_, {.owners = Owners::Flat, .expected_sha256 = sha256}, no_progress(),
                   CancelToken::process());
  }
  std::string failure(const std::string& archive) {
    try {
      run(archive);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::InvalidInput) << error.what();
      return error.what();
    }
    return {};
  }
  std::string read(const std::string& path) { return read_file_at(target_, path, 1 << 20); }

  Scratch scratch_;
  UniqueFd target_;
};

TEST_F(Unpack, KeepsContentModesLinksAndTimes) {
  run(tar(TarEntry{.name = "./", .type = '5', .mode = 0755},
          TarEntry{.name = "./bin/", .type = '5', .mode = 0555},
          TarEntry{.name = "./bin/tool", .content = "#!", .mode = 04755},
          TarEntry{.name = "bin/again", .type = '1', .link = "./bin/tool"},
          TarEntry{.name = "link", .type = '2', .link = "/bin/tool"},
          TarEntry{.name = "pipe", .type = '6', .mode = 0600}));
  EXPECT_EQ(read("bin/tool"), "#!");
  EXPECT_EQ(stat_at(target_, "bin/tool")->st_mode & 07777, 04755U);
  EXPECT_EQ(stat_at(target_, "bin/tool")->st_ino, stat_at(target_, "bin/again")->st_ino);
  EXPECT_EQ(stat_at(target_, "bin")->st_mode & 07777, 0555U);
  EXPECT_EQ(stat_at(target_, "bin")->st_mtim.tv_sec, 1700000000);
  EXPECT_EQ(read_link_at(target_, "link"), "/bin/tool");
  EXPECT_TRUE(S_ISFIFO(stat_at(target_, "pipe")->st_mode));
}

TEST_F(Unpack, RefusesDotDotEntry) {
  EXPECT_TRUE(failure(tar(TarEntry{.name = "a/../../b"})).contains("a/../../b"));
}

TEST_F(Unpack, RefusesAbsolutePath) {
  EXPECT_TRUE(failure(tar(TarEntry{.name = "/etc/x"})).contains("absolute"));
}

TEST_F(Unpack, RefusesToWriteThroughALink) {
  scratch_.make_directory("outside");
  EXPECT_TRUE(failure(tar(TarEntry{.name = "d", .type = '2', .link = "../outside"},
                          TarEntry{.name = "d/x", .content = "!"}))
                  .contains("d/x"));
  EXPECT_FALSE(exists_at(scratch_.fd(), "outside/x"));
}

TEST_F(Unpack, ReplacesALinkInsteadOfFollowingIt) {
  scratch_.write("victim", "safe");
  run(tar(TarEntry{.name = "f", .type = '2', .link = "../victim"}, TarEntry{.name = "f", .content = "mine"}));
  EXPECT_EQ(read("f"), "mine");
  EXPECT_EQ(read_file_at(scratch_.fd(), "victim", 100), "safe");
}

TEST_F(Unpack, HardLinkCannotReachOutside) {
  scratch_.write("victim", "safe");
  EXPECT_FALSE(failure(tar(TarEntry{.name = "h", .type = '1', .link = "../victim"})).empty());
}

TEST_F(Unpack, HardLinkThroughALinkIsRefused) {
  scratch_.write("outside/victim", "safe");
  EXPECT_TRUE(failure(tar(TarEntry{.name = "d", .type = '2', .link = "../outside"},
                          TarEntry{.name = "h", .type = '1', .link = "d/victim"}))
                  .contains("hard link target"));
}

TEST_F(Unpack, HardLinkToALinkIsThatLink) {
  run(tar(TarEntry{.name = "l", .type = '2', .link = "../victim"},
          TarEntry{.name = "h", .type = '1', .link = "l"}));
  EXPECT_EQ(read_link_at(target_, "h"), "../victim");
}

TEST_F(Unpack, LeavesOutDevicesOfDevAndRefusesOthers) {
  run(tar(TarEntry{.name = "dev/null", .type = '3'}, TarEntry{.name = "x", .content = "x"}));
  EXPECT_FALSE(exists_at(target_, "dev/null"));
  EXPECT_TRUE(failure(tar(TarEntry{.name = "srv/dev/null", .type = '3'})).contains("srv/dev/null"));
}

TEST_F(Unpack, RefusesAttributesOfOverlayfs) {
  EXPECT_TRUE(
      failure(pax("SCHILY.xattr.user.overlay.redirect", "/etc") + tar(TarEntry{.name = "d", .type = '5'}))
          .contains("user.overlay.redirect"));
}

TEST_F(Unpack, KeepsAttributesOfAnOverlayInside) {
  run(pax("SCHILY.xattr.user.overlay.overlay.opaque", "y") + tar(TarEntry{.name = "d", .type = '5'}));
  EXPECT_EQ(list_xattrs(target_, "d").size(), 1U);
}

TEST_F(Unpack, RefusesAttributesThatCannotBeWithTheirName) {
  const std::string file = tar(TarEntry{.name = "f", .content = "x"});
  const std::string capability = failure(pax("SCHILY.xattr.security.capability", "x") + file);
  EXPECT_TRUE(capability.contains("security.capability of 'f'")) << capability;
  EXPECT_TRUE(failure(pax("SCHILY.xattr.user.", "x") + file).contains("user."));
}

TEST_F(Unpack, AttributesThatTreesDoNotRecordAreLeftOut) {
  run(pax(pax_record("SCHILY.xattr.security.apparmor", "x") + pax_record("SCHILY.xattr.com.apple.note", "x") +
          pax_record("SCHILY.xattr.system.posix_acl_access", "x") + pax_record("SCHILY.xattr.user.a", "y")) +
      tar(TarEntry{.name = "f", .content = "x"}));
  EXPECT_EQ(list_xattrs(target_, "f").size(), 1U);
}

TEST_F(Unpack, RefusesAFileInThePlaceOfADirectoryThatHasFiles) {
  const std::string message =
      failure(tar(TarEntry{.name = "d/x", .content = "1"}, TarEntry{.name = "d", .content = "2"}));
  EXPECT_TRUE(message.contains("'d'") && message.contains("has files in it")) << message;
}

TEST_F(Unpack, AnAttributeThatIsThereTwiceIsKeptOnce) {
  run(pax(pax_record("LIBARCHIVE.xattr.user.a%20b", "eQ") + pax_record("SCHILY.xattr.user.a%20b", "y")) +
      tar(TarEntry{.name = "f", .content = "x"}));
  const auto attributes = list_xattrs(target_, "f");
  ASSERT_EQ(attributes.size(), 1U);
  EXPECT_EQ(attributes[0].first, "user.a b");
}

TEST_F(Unpack, KeepsUserAttributesAndNamesThatAreNotAscii) {
  run(pax("SCHILY.xattr.user.note", "hello") +
      tar(TarEntry{.name = "f", .content = "x"}, TarEntry{.name = "\xc3\xa4\xff"}));
  const auto attributes = list_xattrs(target_, "f");
  ASSERT_EQ(attributes.size(), 1U);
  EXPECT_EQ(attributes[0].second, "hello");
  EXPECT_TRUE(exists_at(target_, "\xc3\xa4\xff"));
}

TEST_F(Unpack, PaxSizeWinsOverTheHeader) {
  TarEntry entry{.name = "f", .content = std::string(600, 'x')};
  run(pax("size", "600") + tar(entry, TarEntry{.name = "g", .content = "y"}));
  EXPECT_EQ(read("f").size(), 600U);
  EXPECT_EQ(read("g"), "y");
}

TEST_F(Unpack, AFileThatNoDiskHoldsIsTheArchivesFaultAndNoFullDisk) {
  const std::string contents = std::string(512, 'x');
  const std::string reason = "cannot mean";
  EXPECT_TRUE(failure(pax("size", "99999999999999") + tar(TarEntry{.name = "f", .content = contents}))
                  .contains(reason));
  const std::string sparse = pax_record("GNU.sparse.size", "99999999999999") +
                             pax_record("GNU.sparse.numblocks", "1") + pax_record("GNU.sparse.offset", "0") +
                             pax_record("GNU.sparse.numbytes", "512");
  EXPECT_TRUE(failure(pax(sparse) + tar(TarEntry{.name = "f", .content = contents})).contains(reason));
}

TEST_F(Unpack, RefusesWhatIsNoArchiveAndWhatIsCutShort) {
  EXPECT_FALSE(failure("this is no archive, but it is long enough to be looked at").empty());
  EXPECT_FALSE(failure("").empty());
  std::string whole = tar(TarEntry{.name = "f", .content = std::string(100000, 'x')});
  whole.resize(50000);
  EXPECT_FALSE(failure(whole).empty());
}

TEST_F(Unpack, RefusesPathsThatAreTooDeep) {
  std::string deep;
  for (int i = 0; i < 600; ++i) deep += "d/";
  EXPECT_FALSE(failure(pax("path", deep + "f") + tar(TarEntry{.name = "f"})).empty());
}

TEST_F(Unpack, LaterEntryOfTheSameNameWins) {
  run(tar(TarEntry{.name = "a", .content = "1"}, TarEntry{.name = "a", .content = "22"},
          TarEntry{.name = "b", .type = '5'}, TarEntry{.name = "b", .content = "file"}));
  EXPECT_EQ(read("a"), "22");
  EXPECT_EQ(read("b"), "file");
}

TEST_F(Unpack, AnotherArchiveThanExpectedNamesBothSums) {
  const std::string archive = tar(TarEntry{.name = "a", .content = "1"});
  Sha256 sum;
  sum.update(archive);
  const std::string right = sum.finish();
  run(archive, right);
  scratch_.write("archive", archive);
  try {
    run(archive, std::string(64, '0'));
    FAIL();
  } catch (const Error& error) {
    EXPECT_TRUE(std::string(error.what()).contains(right));
    EXPECT_TRUE(std::string(error.what()).contains(std::string(64, '0')));
  }
}

}  // namespace
}  // namespace karapace::worker
