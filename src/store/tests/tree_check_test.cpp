// SPDX-License-Identifier: Apache-2.0
// A tree beside its index: whatever is changed is found at its path, whether the objects were looked at
// before or not.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <random>

#include "karapace/base/text.hpp"
#include "karapace/base/xattr.hpp"
#include "object_table.hpp"
#include "random_tree.hpp"
#include "test_store.hpp"

namespace karapace::store {
namespace {

constexpr std::size_t kAll = 100000;

class TreeCheck : public testing::StoreTest {
 protected:
  /// A tree of links to objects, and its index.
  void lay_out(std::uint32_t seed) {
    testing::fill_random_tree(dir.make_dir("source"), seed, {});
    const testing::Sealed sealed = seal(open_directory(dir.fd(), "source"));
    entries = decode_index(sealed.index);
    apply_mtimes(entries, sealed.mtimes);
    tree = dir.make_dir("tree");
    lay_out_tree(entries, layout.objects(), tree, true);
    remove_tree_at(dir.fd(), "source");
  }
  std::vector<std::string> faults() {
    const UniqueFd objects = layout.objects();
    std::vector<std::string> slow = testing::faults_of(tree, objects, entries, true, nullptr, kAll);
    const ObjectCheck seen(objects, no_progress(), CancelToken::process());
    EXPECT_EQ(testing::faults_of(tree, objects, entries, true, &seen.table, kAll), slow);
    return slow;
  }
  /// Paths of entries of these types, without the root.
  std::vector<std::string> paths(const std::function<bool(const IndexEntry&)>& is_wanted) {
    std::vector<std::string> found;
    for (const IndexEntry& entry : entries) {
      if (!entry.path.empty() && is_wanted(entry)) found.push_back(entry.path.str());
    }
    return found;
  }
  std::vector<IndexEntry> entries;
  UniqueFd tree;
};

bool is_file(const IndexEntry& entry) { return entry.type == EntryType::Regular && entry.size > 0; }

class ChangedTree : public TreeCheck, public ::testing::WithParamInterface<std::uint32_t> {
 protected:
  /// Of the changed thing: a file of its own in the tree, where it was a link to an object.
  void replace(const std::string& path, std::string_view content) {
    unlink_at(tree, path);
    write_all(open_beneath(tree, path, O_WRONLY | O_CREAT | O_EXCL, 0644), content);
  }
};

TEST_P(ChangedTree, IsFoundAtTheChangedPath) {
  lay_out(GetParam());
  ASSERT_TRUE(faults().empty());
  std::mt19937 random(GetParam());
  const auto pick = [&](const std::vector<std::string>& list) { return list[random() % list.size()]; };
  const std::vector<std::string> files = paths(is_file);
  std::vector<std::string> directories =
      paths([](const IndexEntry& entry) { return entry.type == EntryType::Directory; });
  directories.emplace_back("");
  ASSERT_FALSE(files.empty());
  const std::string file = pick(files);
  const std::string directory = pick(directories);
  const std::string extra = (directory.empty() ? "" : directory + "/") + "~extra";
  const std::vector<std::pair<std::string, std::function<void()>>> changes{
      {file, [&] { replace(file, "other bytes"); }},
      {file, [&] { unlink_at(tree, file); }},
      {file, [&] { set_xattr(tree, file, "user.new", "1"); }},
      {file,
       [&] {
         unlink_at(tree, file);
         symlink_at("elsewhere", tree, file);
       }},
      {file,
       [&] {
         unlink_at(tree, file);
         ensure_directory_at(tree, file, 0755);
       }},
      {extra, [&] { write_all(open_beneath(tree, extra, O_WRONLY | O_CREAT | O_EXCL, 0644), "x"); }},
      {extra, [&] { ensure_directory_at(tree, extra, 0755); }},
      {directory.empty() ? extra : directory,
       [&] { ensure_directory_at(tree, directory.empty() ? extra : directory + "/~extra", 0755); }}};
  const auto& chosen = changes[random() % changes.size()];
  const std::string& path = chosen.first;
  SCOPED_TRACE(printable(path));
  chosen.second();
  const std::vector<std::string> found = faults();
  EXPECT_TRUE(std::ranges::any_of(found, [&](const std::string& fault) {
    return fault == printable(path) || fault.starts_with(printable(path) + "/");
  })) << (found.empty() ? "nothing" : found.front());
}
INSTANTIATE_TEST_SUITE_P(Seeds, ChangedTree, ::testing::Range(1U, 41U));

class HandMadeTree : public TreeCheck {
 protected:
  HandMadeTree() {
    const UniqueFd source = dir.make_dir("source");
    std::string deep = "deep";
    for (int i = 0; i < 40; ++i) deep += "/d";
    for (const char* name : {"a", "a/x", "a-b", "a-b/x", "empty", deep.c_str()})
      ensure_directory_at(source, name, 0755);
    for (const std::string name : {"a.c", "a/x/one", "a-b/x/two", "b", "group"})
      dir.write("source/" + name, "content of " + name);
    dir.write("source/" + deep + "/file", "at the end");
    EXPECT_EQ(::linkat(source.get(), "group", source.get(), "a-b/name", 0), 0);
    EXPECT_EQ(::linkat(source.get(), "group", source.get(), "z", 0), 0);
    symlink_at("x", source, "soft");
    EXPECT_EQ(::linkat(source.get(), "soft", source.get(), "soft-2", 0), 0);
    EXPECT_EQ(::mknodat(source.get(), "pipe", S_IFIFO | 0600, 0), 0);
    EXPECT_EQ(::linkat(source.get(), "pipe", source.get(), "pipe-2", 0), 0);
    for (const char* name : {"gone-1", "gone-2"}) EXPECT_EQ(::mknodat(source.get(), name, S_IFCHR, 0), 0);
    const testing::Sealed sealed = seal(source);
    entries = decode_index(sealed.index);
    apply_mtimes(entries, sealed.mtimes);
    tree = dir.make_dir("tree");
    lay_out_tree(entries, layout.objects(), tree, true);
  }
};

TEST_F(HandMadeTree, AsItWasLaidOutHasNoFaults) { EXPECT_TRUE(faults().empty()); }

/// So the overlay makes them; while it is mounted, the inode has one more name there.
TEST_F(HandMadeTree, WhiteoutsMayBeNamesOfOneInode) {
  unlink_at(tree, "gone-2");
  ASSERT_EQ(::linkat(tree.get(), "gone-1", tree.get(), "gone-2", 0), 0);
  EXPECT_EQ(faults(), std::vector<std::string>());
}

TEST_F(HandMadeTree, TheInodeOfAnotherObjectIsAFault) {
  unlink_at(tree, "a/x/one");
  ASSERT_EQ(::linkat(tree.get(), "b", tree.get(), "a/x/one", 0), 0);
  EXPECT_EQ(faults(), std::vector<std::string>{"a/x/one"});
}

TEST_F(HandMadeTree, AMissingDirectoryIsAFaultWithAllThatWasInIt) {
  remove_tree_at(tree, "a");
  EXPECT_EQ(faults(), (std::vector<std::string>{"a", "a/x", "a/x/one"}));
}

TEST_F(HandMadeTree, NamesThatNobodyAskedForAreFoundBetweenAllOthers) {
  for (const char* name : {"a-a", "a-b/x/~", "a/a", "a0", "deep/e", "empty/file", "~"})
    dir.write(std::string("tree/") + name, "extra");
  EXPECT_EQ(faults(), (std::vector<std::string>{"a-a", "a-b/x/~", "a/a", "a0", "deep/e", "empty/file", "~"}));
}

TEST_F(HandMadeTree, ABrokenGroupOfHardLinksIsAFault) {
  unlink_at(tree, "z");
  dir.write("tree/z", "content of group");
  EXPECT_FALSE(faults().empty());
  unlink_at(tree, "z");
  ASSERT_EQ(::linkat(tree.get(), "group", tree.get(), "z", 0), 0);
  EXPECT_TRUE(faults().empty());
  // A name more, outside: the kernel shows other link counts than the index says.
  ASSERT_EQ(::linkat(tree.get(), "group", dir.fd().get(), "outside", 0), 0);
  EXPECT_FALSE(faults().empty());
}

TEST_F(HandMadeTree, ABrokenGroupOfSymlinksOrFifosIsAFault) {
  for (const char* name : {"soft-2", "pipe-2"}) unlink_at(tree, name);
  symlink_at("x", tree, "soft-2");
  EXPECT_EQ(::mknodat(tree.get(), "pipe-2", S_IFIFO | 0600, 0), 0);
  EXPECT_EQ(faults(), (std::vector<std::string>{"pipe-2", "soft-2"}));
}

TEST_F(HandMadeTree, TheDirectoryItselfIsToldAsADot) {
  ASSERT_EQ(::fchmod(tree.get(), 0700), 0);
  EXPECT_EQ(faults(), std::vector<std::string>{"."});
}

TEST_F(HandMadeTree, FilesThatBecameOneAreAFault) {
  for (const char* name : {"a.c", "b"}) unlink_at(tree, name);
  dir.write("tree/a.c", "content of a.c");
  ASSERT_EQ(::linkat(tree.get(), "a.c", tree.get(), "b", 0), 0);
  EXPECT_EQ(faults(), std::vector<std::string>{"b"});
}

TEST_F(HandMadeTree, ADamagedObjectIsNotAFaultOfItsTree) {
  // It is one file with two names: the object is told, with all that needs it.
  const UniqueFd file = open_beneath(tree, "b", O_WRONLY);
  write_all(file, "CONTENT");
  EXPECT_TRUE(faults().empty());
  const ObjectCheck seen(layout.objects(), no_progress(), CancelToken::process());
  EXPECT_EQ(seen.bad.size(), 1U);
}

TEST_F(HandMadeTree, FaultsStopAtTheLimit) {
  for (const char* name : {"a.c", "a/x/one", "b"}) unlink_at(tree, name);
  EXPECT_EQ(testing::faults_of(tree, layout.objects(), entries, true, nullptr, 2),
            (std::vector<std::string>{"a.c", "a/x/one"}));
}

}  // namespace
}  // namespace karapace::store
