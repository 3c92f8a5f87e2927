// SPDX-License-Identifier: Apache-2.0
// Layers of images, unpacked one upon the other.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "karapace/base/error.hpp"
#include "karapace/base/xattr.hpp"
#include "karapace/store/layer.hpp"
#include "worker/tests/scratch.hpp"
#include "worker/tests/tar_text.hpp"
#include "worker/unpack.hpp"

namespace karapace::worker {
namespace {

TarEntry file(std::string name, std::string content) {
  return {.name = std::move(name), .content = std::move(content)};
}
TarEntry dir(std::string name, unsigned mode = 0755) {
  return {.name = std::move(name), .type = '5', .mode = mode};
}
TarEntry link(std::string name, std::string to) {
  return {.name = std::move(name), .type = '2', .link = std::move(to)};
}

class Layers : public ::testing::Test {
 protected:
  template <typename... Entries>
  void apply(const Entries&... entries) {
    apply_bytes(tar(entries...));
  }
  void apply_bytes(const std::string& archive) {
    scratch_.write("archive", archive);
    if (!target_) target_ = scratch_.make_directory("target");
    const UniqueFd opened = open_beneath(scratch_.fd(), "archive", O_RDONLY);
    unpack_archive(opened, target_, {.owners = Owners::Flat, .expected_sha256 = {}, .image_layer = true},
                   no_progress(), CancelToken::process());
  }
  template <typename... Entries>
  std::string failure(const Entries&... entries) {
    try {
      apply(entries...);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::InvalidInput) << error.what();
      return error.what();
    }
    return "(accepted)";
  }
  std::string read(const std::string& path) { return read_file_at(target_, path, 1 << 20); }
  bool has(const std::string& path) { return find_beneath(target_, path).has_value(); }

  Scratch scratch_;
  UniqueFd target_;
};

TEST_F(Layers, WhiteoutsRemoveWhatLowerLayersBrought) {
  apply(dir("etc"), file("etc/a", "1"), file("etc/b", "1"), dir("opt"), file("opt/deep/x", "1"));
  apply(file("etc/.wh.a", ""), file(".wh.opt", ""), file("etc/.wh.never-there", ""),
        file("no/.wh.where", ""));
  EXPECT_FALSE(has("etc/a"));
  EXPECT_FALSE(has("opt"));
  EXPECT_FALSE(has("no"));
  EXPECT_EQ(read("etc/b"), "1");
}

TEST_F(Layers, WhiteoutsSpareWhatTheirOwnLayerBringsBeforeOrAfterThem) {
  apply(dir("d"), file("d/low", "1"), dir("d/sub"), file("d/sub/low", "1"), file("f", "1"));
  apply(dir("d"), file("d/new", "2"), file("d/sub/new", "2"), file(".wh.d", ""), file(".wh.f", ""),
        file("f", "2"));
  EXPECT_FALSE(has("d/low"));
  EXPECT_FALSE(has("d/sub/low"));
  EXPECT_EQ(read("d/new"), "2");
  EXPECT_EQ(read("d/sub/new"), "2");
  EXPECT_EQ(read("f"), "2");
}

TEST_F(Layers, OpaqueMarksHideTheDirectoryOfLowerLayersWhereverTheyStand) {
  apply(dir("d"), file("d/low", "1"), file("d/both", "1"), dir("e"), file("e/low", "1"));
  apply(dir("d"), file("d/both", "2"), file("d/new", "2"), file("d/.wh..wh..opq", ""),
        file("e/.wh..wh..opq", ""));
  EXPECT_FALSE(has("d/low"));
  EXPECT_EQ(read("d/both"), "2");
  EXPECT_EQ(read("d/new"), "2");
  EXPECT_TRUE(has("e"));
  EXPECT_FALSE(has("e/low"));
  apply(file(".wh..wh..opq", ""), file("only", "3"));
  EXPECT_EQ(list_directory(target_).size(), 1U);
}

TEST_F(Layers, MarksOfAufsAreNoFiles) {
  apply(file(".wh..wh.plnk/1.2", ""), file(".wh..wh.aufs", ""), file("x", "1"));
  EXPECT_EQ(read("x"), "1");
  EXPECT_FALSE(has(".wh..wh.aufs"));
}

TEST_F(Layers, MarksThatNameNothingAreRefused) {
  for (const char* name : {".wh.", "a/.wh..", ".wh..."}) {
    EXPECT_TRUE(failure(file(name, "")).find("removes nothing") != std::string::npos) << name;
  }
}

TEST_F(Layers, LaterEntriesReplaceEarlierOnesOfAnyType) {
  apply(dir("d"), file("d/x", "1"), file("f", "1"), link("l", "f"), dir("keep", 0700), file("keep/x", "1"));
  apply(file("d", "2"), dir("f"), file("f/x", "2"), file("l", "2"), dir("keep", 0755));
  EXPECT_EQ(read("d"), "2");
  EXPECT_EQ(read("f/x"), "2");
  EXPECT_EQ(read("l"), "2");
  EXPECT_EQ(read("keep/x"), "1");
  EXPECT_EQ(stat_at(target_, "keep")->st_mode & 07777, 0755U);
}

TEST_F(Layers, ADirectoryOfALaterLayerHasItsOwnAttributesOnly) {
  apply_bytes(pax("SCHILY.xattr.user.old", "1") + tar(dir("d")));
  apply_bytes(pax("SCHILY.xattr.user.new", "2") + tar(dir("d")));
  const auto xattrs = list_xattrs(target_, "d");
  ASSERT_EQ(xattrs.size(), 1U);
  EXPECT_EQ(xattrs[0].first, "user.new");
}

TEST_F(Layers, ReplacingOneNameOfAHardLinkLeavesTheOthers) {
  apply(file("a", "1"), TarEntry{.name = "b", .type = '1', .link = "a"});
  apply(file("b", "2"));
  EXPECT_EQ(read("a"), "1");
  EXPECT_EQ(read("b"), "2");
  apply(TarEntry{.name = "c", .type = '1', .link = "a"});
  EXPECT_EQ(stat_at(target_, "a")->st_ino, stat_at(target_, "c")->st_ino);
}

TEST_F(Layers, ParentsThatAreLinksOfLowerLayersAreFollowedInsideTheTree) {
  scratch_.make_directory("outside");
  apply(dir("usr/lib"), link("lib", "usr/lib"), link("up", "../../../outside"), link("abs", "/usr"));
  apply(file("lib/a.so", "2"), file("abs/lib/b.so", "2"),
        TarEntry{.name = "c.so", .type = '1', .link = "lib/a.so"}, file("up/x", "2"));
  EXPECT_EQ(read("usr/lib/a.so"), "2");
  EXPECT_EQ(read("usr/lib/b.so"), "2");
  EXPECT_EQ(read("c.so"), "2");
  EXPECT_TRUE(S_ISLNK(stat_at(target_, "lib")->st_mode));
  EXPECT_FALSE(exists_at(scratch_.fd(), "outside/x"));
  EXPECT_EQ(read("outside/x"), "2");
  apply(file("lib/.wh.a.so", ""));
  EXPECT_FALSE(has("usr/lib/a.so"));
}

TEST_F(Layers, LinksInACircleAreRefused) {
  apply(link("a", "b"), link("b", "a"));
  EXPECT_TRUE(failure(file("a/x", "")).find("too many symbolic links") != std::string::npos);
}

TEST_F(Layers, NothingEscapesTheTree) {
  scratch_.write("outside/victim", "1");
  apply(link("out", "../outside"));
  for (const char* name : {"../outside/victim", "out/../../outside/victim", "out/victim", "out/.wh.victim"}) {
    const std::string result = failure(file(name, "2"));
    EXPECT_EQ(read_file_at(scratch_.fd(), "outside/victim", 100), "1") << name << ": " << result;
  }
}

TEST_F(Layers, EmptyLayersAndAbsoluteNamesAreTaken) {
  apply();
  apply(file("/etc/x", "1"));
  EXPECT_EQ(read("etc/x"), "1");
}

TEST_F(Layers, TheTreeDoesNotTellWhenItWasUnpacked) {
  apply(dir("d"), file("d/x", "1"), dir("e"), file("e/x", "1"), file("implicit/x", "1"));
  apply(file("d/.wh.x", ""), file("e/new", "2"), file("e/deep/new", "2"));
  for (const char* path : {"d", "e"}) EXPECT_EQ(stat_at(target_, path)->st_mtim.tv_sec, 1700000000) << path;
  for (const char* path : {"implicit", "e/deep"})
    EXPECT_EQ(stat_at(target_, path)->st_mtim.tv_sec, store::kSourceDateEpoch) << path;
  EXPECT_EQ(stat_fd(target_).st_mtim.tv_sec, store::kSourceDateEpoch);
}

}  // namespace
}  // namespace karapace::worker
