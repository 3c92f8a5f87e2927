// SPDX-License-Identifier: Apache-2.0
#include "karapace/store/tree_diff.hpp"

#include <sys/stat.h>

#include "karapace/base/xattr.hpp"
#include "random_tree.hpp"
#include "test_store.hpp"

namespace karapace::store {
namespace {

using namespace testing;

class Diff : public ::testing::Test {
 protected:
  void white_out(const std::string& path) const {
    const auto slash = path.rfind('/');
    const UniqueFd parent = open_directory(dir.fd(), path.substr(0, slash));
    ASSERT_EQ(::mknodat(parent.get(), path.substr(slash + 1).c_str(), S_IFCHR, 0), 0);
  }
  [[nodiscard]] std::string diff() const {
    std::vector<UniqueFd> lowers;
    for (const char* name : {"middle", "base"}) lowers.push_back(open_directory(dir.fd(), name));
    std::string text;
    for (const TreeChange& change :
         diff_upper(open_directory(dir.fd(), "upper"), lowers, {}, CancelToken::process())) {
      text += change.kind == ChangeKind::Added ? "+" : change.kind == ChangeKind::Removed ? "-" : "~";
      text += change.path;
      for (const std::string& what : change.what) text += " " + what;
      text += "\n";
    }
    return text;
  }
  void write(const std::string& path, std::string_view content, mode_t mode = 0644) const {
    ensure_directory_at(dir.fd(), path.substr(0, path.rfind('/')), 0755);
    dir.write(path, content, mode);
  }
  TempDir dir;
  UniqueFd upper = dir.make_dir("upper"), middle = dir.make_dir("middle"), base = dir.make_dir("base");
};

TEST_F(Diff, EmptyUpperDirectoryChangesNothing) { EXPECT_EQ(diff(), ""); }

TEST_F(Diff, NewFilesAndDirectoriesAreAdded) {
  write("upper/new/file", "x");
  ensure_directory_at(upper, "empty", 0755);
  symlink_at("nowhere", upper, "link");
  EXPECT_EQ(diff(), "+empty\n+link\n+new\n+new/file\n");
}

TEST_F(Diff, SameContentWrittenAgainIsNoChange) {
  write("base/etc/file", "same");
  write("upper/etc/file", "same");
  EXPECT_EQ(diff(), "");
}

TEST_F(Diff, EachKindOfChangeIsNamed) {
  write("base/content", "abc");
  write("upper/content", "abd");
  write("base/mode", "abc");
  write("upper/mode", "abc", 0755);
  write("base/both", "abc");
  write("upper/both", "longer", 0600);
  write("base/xattr", "abc");
  write("upper/xattr", "abc");
  set_xattr(upper, "xattr", "user.mine", "1");
  set_xattr(upper, "xattr", "user.overlay.origin", "overlay's own is none");
  write("base/type", "abc");
  symlink_at("abc", upper, "type");
  symlink_at("one", base, "target");
  symlink_at("two", upper, "target");
  ensure_directory_at(base, "dir", 0755);
  ensure_directory_at(upper, "dir", 0700);
  ASSERT_EQ(::fchmodat(upper.get(), "dir", 0700, 0), 0);
  EXPECT_EQ(diff(),
            "~both content mode\n~content content\n~dir mode\n~mode mode\n~target target\n~type type\n~xattr "
            "xattrs\n");
}

TEST_F(Diff, LinkOutOfTheTreeIsComparedAndNotFollowed) {
  write("secret/file", "x");
  symlink_at("../secret", base, "link");
  write("upper/link/file", "x");
  EXPECT_EQ(diff(), "~link type\n+link/file\n");
}

TEST_F(Diff, WhiteoutRemovesWhatIsBelowAndNothingElse) {
  write("base/file", "x");
  write("base/dir/a/b", "x");
  white_out("upper/file");
  white_out("upper/dir");
  white_out("upper/never-was");
  EXPECT_EQ(diff(), "-dir\n-file\n");
}

TEST_F(Diff, LayersHideWhatLiesBelowThem) {
  write("base/gone", "x");
  white_out("middle/gone");
  write("upper/gone", "back again");
  write("base/changed", "old");
  write("middle/changed", "newer");
  write("upper/changed", "newer");
  write("base/file-then-dir", "x");
  write("middle/file-then-dir/a", "x");
  white_out("upper/file-then-dir");
  EXPECT_EQ(diff(), "-file-then-dir\n+gone\n");
}

TEST_F(Diff, OpaqueDirectoryRemovesWhatItDoesNotHave) {
  write("base/dir/kept", "same");
  write("base/dir/lost", "x");
  write("base/dir/sub/deep", "x");
  write("middle/dir/of-middle", "x");
  write("base/dir/whited", "x");
  white_out("middle/dir/whited");
  write("upper/dir/kept", "same");
  write("upper/dir/sub/new", "x");
  set_xattr(upper, "dir", "user.overlay.opaque", "y");
  EXPECT_EQ(diff(), "-dir/lost\n-dir/of-middle\n-dir/sub/deep\n+dir/sub/new\n");
}

TEST_F(Diff, OpaqueDirectoryInTheMiddleHidesTheBase) {
  write("base/dir/old", "x");
  write("middle/dir/new", "x");
  set_xattr(middle, "dir", "user.overlay.opaque", "y");
  write("upper/dir/old", "x");
  EXPECT_EQ(diff(), "+dir/old\n");
}

TEST_F(Diff, NamesThatAreNoTextAreBytes) {
  write("upper/\xff\n", "x");
  EXPECT_EQ(diff(), "+\xff\n\n");
}

TEST_F(Diff, EqualRandomTreesDoNotDiffer) {
  for (std::uint32_t seed = 1; seed < 10; ++seed) {
    const TempDir trees;
    const UniqueFd above = trees.make_dir("a"), below = trees.make_dir("b");
    fill_random_tree(above, seed, TreeOptions{50, false});
    fill_random_tree(below, seed, TreeOptions{50, false});
    std::vector<UniqueFd> lowers;
    lowers.push_back(open_directory(trees.fd(), "b"));
    EXPECT_TRUE(diff_upper(above, lowers, {}, CancelToken::process()).empty()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace karapace::store
