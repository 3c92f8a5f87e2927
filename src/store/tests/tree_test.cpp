// SPDX-License-Identifier: Apache-2.0
// Sealing, laying out and scanning. This file is built twice: as it is, and with a main that becomes root of
// a user namespace with a single id first, which is where tree work happens for people without subordinate
// ids.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "karapace/base/durable.hpp"
#include "karapace/base/xattr.hpp"
#include "karapace/store/integrity.hpp"
#include "karapace/store/object_store.hpp"
#include "random_tree.hpp"
#include "test_store.hpp"
#include "tree_walk.hpp"

namespace karapace::store {
namespace {

using testing::code_of;
using testing::fill_random_tree;
using testing::TreeOptions;

class Tree : public testing::StoreTest {
 protected:
  std::vector<IndexEntry> entries_of(const testing::Sealed& sealed) {
    std::vector<IndexEntry> entries = decode_index(sealed.index);
    apply_mtimes(entries, sealed.mtimes);
    return entries;
  }
  ino_t inode(const std::string& path) { return stat_at(dir.fd(), path).value().st_ino; }
  const IndexEntry& at(const std::vector<IndexEntry>& entries, const std::string& path) {
    const auto found =
        std::ranges::find_if(entries, [&](const IndexEntry& entry) { return entry.path.view() == path; });
    if (found == entries.end()) throw Error(ErrorCode::NotFound, "no entry " + path);
    return *found;
  }
};

/// What is on disk of an index: flat trees are laid out without setuid and setgid.
std::vector<IndexEntry> on_disk(std::vector<IndexEntry> entries, bool flat) {
  for (IndexEntry& entry : entries) entry.mode = mode_on_disk(entry.mode, flat);
  return entries;
}

class RandomTree : public Tree, public ::testing::WithParamInterface<std::uint32_t> {};

TEST_P(RandomTree, SealedLaidOutAndScannedIsTheSameTree) {
  SCOPED_TRACE("seed " + std::to_string(GetParam()));
  for (const bool flat : {true, false}) {
    const std::string suffix = flat ? "-flat" : "-mapped";
    const UniqueFd source = dir.make_dir("source" + suffix);
    fill_random_tree(source, GetParam(), TreeOptions{60, false});
    const std::vector<IndexEntry> before = scan(source, flat);
    const testing::Sealed sealed = seal(source, {.flat = flat});
    const std::vector<IndexEntry> entries = entries_of(sealed);
    EXPECT_EQ(entries, before);
    EXPECT_EQ(scan(source, flat), on_disk(entries, flat));
    const UniqueFd target = dir.make_dir("target" + suffix);
    lay_out_tree(entries, layout.objects(), target, flat);
    EXPECT_EQ(scan(target, flat), on_disk(entries, flat));
    EXPECT_TRUE(same_tree(scan(target, flat), entries, flat));
    EXPECT_TRUE(testing::faults_of(target, layout.objects(), entries, flat).empty());
  }
}

TEST_P(RandomTree, SealedTwiceHasOneHash) {
  const UniqueFd a = dir.make_dir("a");
  const UniqueFd b = dir.make_dir("b");
  fill_random_tree(a, GetParam(), {});
  fill_random_tree(b, GetParam(), {});
  const testing::Sealed first = seal(a, {.flat = false, .set_mtime = kSourceDateEpoch});
  EXPECT_EQ(seal(a, {.flat = false, .set_mtime = kSourceDateEpoch}).hash, first.hash);
  const testing::Sealed other = seal(b, {.flat = false, .set_mtime = kSourceDateEpoch, .threads = 1});
  EXPECT_EQ(other.hash, first.hash);
  EXPECT_EQ(other.mtimes, first.mtimes);
  EXPECT_EQ(other.objects_new, 0U);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomTree, ::testing::Range(1U, 13U));

TEST_F(Tree, TimesAreNotPartOfTheIdentity) {
  const UniqueFd tree = dir.make_dir("tree");
  dir.write("tree/file", "content");
  const Digest first = seal(tree, {.set_mtime = 1}).hash;
  EXPECT_EQ(seal(tree, {.set_mtime = 2}).hash, first);
}

TEST_F(Tree, EqualFilesOfTwoTreesAreOneInodeWithTheirObject) {
  const UniqueFd a = dir.make_dir("a");
  const UniqueFd b = dir.make_dir("b");
  dir.write("a/one", "same");
  dir.write("b/two", "same");
  EXPECT_EQ(seal(a, {.set_mtime = kSourceDateEpoch}).objects_new, 1U);
  EXPECT_EQ(seal(b, {.set_mtime = kSourceDateEpoch}).objects_shared, 1U);
  EXPECT_EQ(inode("a/one"), inode("b/two"));
  EXPECT_EQ(inode("a/one"), inode(store_path("store/objects/" + hash_bytes("same").hex())));
}

TEST_F(Tree, FilesThatDifferInModeOrXattrKeepTheirOwnInode) {
  const UniqueFd tree = dir.make_dir("tree");
  dir.write("tree/a", "same", 0644);
  dir.write("tree/b", "same", 0755);
  dir.write("tree/c", "same", 0644);
  set_xattr(tree, "c", "user.x", "1");
  const testing::Sealed sealed = seal(tree, {.set_mtime = kSourceDateEpoch, .threads = 1});
  EXPECT_NE(inode("tree/a"), inode("tree/b"));
  EXPECT_NE(inode("tree/a"), inode("tree/c"));
  EXPECT_EQ(at(scan(tree), "b").mode, 0755U);
  EXPECT_TRUE(same_tree(scan(tree), entries_of(sealed), true));
}

TEST_F(Tree, TimesThatAreTooFarAwayAreTheFarthestThatCanBeKept) {
  const UniqueFd tree = dir.make_dir("tree");
  dir.write("tree/late", "x");
  dir.write("tree/early", "x");
  constexpr time_t kFar = 12'000'000'000;  // the year 2350
  for (const auto& [name, seconds] : {std::pair("late", kFar), std::pair("early", -kFar)}) {
    const timespec time{seconds, 0};
    const std::array<timespec, 2> times{time, time};
    ASSERT_EQ(::utimensat(tree.get(), name, times.data(), 0), 0);
  }
  struct stat stored {};
  ASSERT_EQ(::fstatat(tree.get(), "late", &stored, 0), 0);
  const std::vector<IndexEntry> entries = scan(tree);
  EXPECT_LT(at(entries, "early").mtime_ns, 0);
  EXPECT_EQ(at(entries, "late").mtime_ns / 1'000'000'000, std::min<time_t>(stored.st_mtime, 9'223'372'035));
}

TEST_F(Tree, HardLinksStayHardLinksAndEqualFilesStayApart) {
  const UniqueFd tree = dir.make_dir("tree");
  dir.write("tree/a", "same");
  dir.write("tree/z", "same");
  ASSERT_EQ(try_link_at(tree, "a", tree, "b"), LinkResult::Linked);
  const testing::Sealed sealed = seal(tree, {.set_mtime = kSourceDateEpoch});
  const std::vector<IndexEntry> entries = entries_of(sealed);
  EXPECT_EQ(at(entries, "b").type, EntryType::HardLink);
  EXPECT_EQ(at(entries, "b").link_target, "a");
  EXPECT_EQ(at(entries, "z").type, EntryType::Regular);
  EXPECT_EQ(inode("tree/a"), inode("tree/b"));
  EXPECT_NE(inode("tree/a"), inode("tree/z"));
  EXPECT_EQ(seal(tree, {.set_mtime = kSourceDateEpoch}).hash, sealed.hash);
  const UniqueFd target = dir.make_dir("target");
  lay_out_tree(entries, layout.objects(), target, true);
  EXPECT_EQ(seal(target).hash, sealed.hash);
  EXPECT_EQ(inode("target/a"), inode("target/b"));
}

TEST_F(Tree, TwoNamesOfOneObjectAreTwoFiles) {
  const UniqueFd tree = dir.make_dir("tree");
  dir.write("tree/a", "same");
  dir.write("tree/b", "same");
  const testing::Sealed sealed = seal(tree, {.set_mtime = kSourceDateEpoch});
  ASSERT_EQ(inode("tree/a"), inode("tree/b"));
  EXPECT_EQ(at(scan(tree), "b").type, EntryType::Regular);
  EXPECT_EQ(seal(tree).hash, sealed.hash);
}

TEST_F(Tree, SealingNeverChangesAFileThatHasNamesElsewhere) {
  const UniqueFd tree = dir.make_dir("tree");
  const UniqueFd outside = dir.make_dir("outside");
  dir.write("outside/precious", "content", 0644);
  ASSERT_EQ(::fchmodat(outside.get(), "precious", 04755, 0), 0);
  ASSERT_EQ(try_link_at(outside, "precious", tree, "file"), LinkResult::Linked);
  const struct stat before = stat_at(outside, "precious").value();
  const testing::Sealed sealed = seal(tree, {.set_mtime = 1});
  const struct stat after = stat_at(outside, "precious").value();
  EXPECT_EQ(after.st_mode, before.st_mode);
  EXPECT_EQ(after.st_mtim.tv_sec, before.st_mtim.tv_sec);
  EXPECT_EQ(after.st_nlink, 1U);
  EXPECT_EQ(at(entries_of(sealed), "file").mode, 04755U);
  EXPECT_EQ(stat_at(tree, "file").value().st_mode & 07777U, 0755U);
}

TEST_F(Tree, FlatTreesLoseSetuidOnDiskAndKeepItInTheIndex) {
  const UniqueFd tree = dir.make_dir("tree");
  dir.write("tree/sudo", "x");
  ASSERT_EQ(::fchmodat(tree.get(), "sudo", 06755, 0), 0);
  const std::vector<IndexEntry> entries = entries_of(seal(tree));
  EXPECT_EQ(at(entries, "sudo").mode, 06755U);
  EXPECT_EQ(at(entries, "sudo").uid, 0U);
  EXPECT_EQ(stat_at(tree, "sudo").value().st_mode & 07777U, 0755U);
}

TEST_F(Tree, OverlaysOwnAttributesGoAndOpaqueMarksStay) {
  const UniqueFd tree = dir.make_dir("tree");
  dir.make_dir("tree/sub");
  dir.write("tree/file", "x");
  set_xattr(tree, "sub", "user.overlay.opaque", "y");
  set_xattr(tree, "sub", "user.overlay.impure", "y");
  set_xattr(tree, "file", "user.overlay.origin", "o");
  set_xattr(tree, "file", "user.overlay.overlay.opaque", "content of a nested overlay");
  const std::vector<IndexEntry> entries = entries_of(seal(tree));
  EXPECT_TRUE(at(entries, "sub").opaque);
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(list_xattrs(tree, "sub"), (Pairs{{"user.overlay.opaque", "y"}}));
  EXPECT_EQ(at(entries, "file").xattrs,
            (Pairs{{"user.overlay.overlay.opaque", "content of a nested overlay"}}));
}

TEST_F(Tree, WhatAnOverlayLeftIncompleteIsRefused) {
  const UniqueFd tree = dir.make_dir("tree");
  dir.make_dir("tree/sub");
  set_xattr(tree, "sub", "user.overlay.redirect", "/elsewhere");
  EXPECT_EQ(code_of([&] { seal(tree); }), ErrorCode::InvalidInput);
}

TEST_F(Tree, SocketIsRefusedWithItsPathAndListedWhenScanned) {
  const UniqueFd tree = dir.make_dir("tree");
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_GE(socket, 0);
  const UniqueFd owner(socket);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = dir.path() + "/tree/agent";
  ASSERT_LT(path.size(), sizeof address.sun_path);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  ASSERT_EQ(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  try {
    seal(tree);
    FAIL() << "sealed";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidInput);
    EXPECT_NE(error.message().find("\"agent\""), std::string::npos);
  }
  std::vector<std::string> unsupported;
  EXPECT_EQ(scan_tree(tree, true, true, 2, CancelToken::process(), &unsupported).size(), 1U);
  EXPECT_EQ(unsupported, std::vector<std::string>{"agent"});
}

TEST_F(Tree, CorruptObjectIsReplacedByTheGoodFileAndNotLinkedOverIt) {
  const UniqueFd tree = dir.make_dir("tree");
  dir.write("tree/file", "good content");
  const std::string object = hash_bytes("good content").hex();
  dir.write(store_path("store/objects/") + object, "bad  content");
  seal(tree, {.set_mtime = 5});
  EXPECT_EQ(dir.read("tree/file"), "good content");
  EXPECT_EQ(ObjectStore(layout).load(Digest::parse(object)), "good content");
}

TEST_F(Tree, EmptyFilesAreNoObjectsAndShareNothing) {
  const UniqueFd tree = dir.make_dir("tree");
  dir.write("tree/a", "");
  dir.write("tree/b", "");
  EXPECT_EQ(seal(tree, {.set_mtime = 1}).objects_new, 0U);
  EXPECT_NE(inode("tree/a"), inode("tree/b"));
  EXPECT_TRUE(ObjectStore(layout).list().empty());
}

TEST_F(Tree, ObjectThatNoTreeUsesTakesTheAttributesAndIsLinked) {
  const UniqueFd source = dir.make_dir("source");
  dir.write("source/tool", "#!program", 0755);
  const std::vector<IndexEntry> entries = entries_of(seal(source, {.set_mtime = kSourceDateEpoch}));
  testing::TempDir other;
  const StoreLayout pulled = StoreLayout::open_or_create(other.path() + "/pulled");
  ObjectStore(pulled).put("#!program");
  const UniqueFd target = dir.make_dir("target");
  lay_out_tree(entries, pulled.objects(), target, true);
  EXPECT_EQ(stat_at(target, "tool").value().st_nlink, 2U);
  EXPECT_EQ(scan(target), entries);
  // The next tree wants it otherwise: the first one must not change.
  std::vector<IndexEntry> other_mode = entries;
  other_mode.back().mode = 0700;
  const UniqueFd second = dir.make_dir("second");
  lay_out_tree(other_mode, pulled.objects(), second, true);
  EXPECT_EQ(scan(second), other_mode);
  EXPECT_EQ(scan(target), entries);
}

TEST_F(Tree, LayingOutALayerWithAMissingObjectIsCorrupt) {
  const UniqueFd source = dir.make_dir("source");
  dir.write("source/file", "content");
  const std::vector<IndexEntry> entries = entries_of(seal(source));
  unlink_at(layout.objects(), hash_bytes("content").hex());
  EXPECT_EQ(code_of([&] { lay_out_tree(entries, layout.objects(), dir.make_dir("target"), true); }),
            ErrorCode::Corrupt);
}

TEST_F(Tree, PublishedTreeIsKeptWhenTheSameTreeComesAgain) {
  const UniqueFd staging = layout.staging();
  for (const char* name : {"first", "second"}) {
    ensure_directory_at(staging, name);
    const UniqueFd tree = open_directory(staging, name);
    write_all(open_beneath(tree, "file", O_WRONLY | O_CREAT, 0644), "content");
  }
  const testing::Sealed sealed = seal(open_directory(staging, "first"), {.set_mtime = 1});
  publish_tree(staging, "first", layout.trees(), sealed.hash);
  const ino_t first = stat_at(layout.trees(), sealed.hash.hex()).value().st_ino;
  ASSERT_EQ(seal(open_directory(staging, "second"), {.set_mtime = 1}).hash, sealed.hash);
  publish_tree(staging, "second", layout.trees(), sealed.hash);
  EXPECT_EQ(stat_at(layout.trees(), sealed.hash.hex()).value().st_ino, first);
  EXPECT_TRUE(list_directory(staging).empty());
}

TEST_F(Tree, CancelledSealThrowsAndLeavesNoTemporaries) {
  const UniqueFd tree = dir.make_dir("tree");
  dir.write("tree/file", "content");
  CancelToken& token = CancelToken::process();
  token.request(2);
  EXPECT_THROW(seal(tree), Cancelled);
  token.reset();
  EXPECT_EQ(list_directory(tree).size(), 1U);
}

TEST_F(Tree, ScanOfAChangedTreeFindsThePaths) {
  const UniqueFd tree = dir.make_dir("tree");
  for (const char* name : {"a", "b", "c", "d"})
    dir.write(std::string("tree/") + name, std::string("content of ") + name);
  const std::vector<IndexEntry> entries = entries_of(seal(tree));
  unlink_at(tree, "a");
  dir.write("tree/extra", "x");
  replace_file(tree, "b", "CONTENT OF b", 0644);
  ASSERT_EQ(::fchmodat(tree.get(), "c", 0600, 0), 0);
  EXPECT_EQ(testing::faults_of(tree, layout.objects(), entries, true),
            (std::vector<std::string>{"a", "b", "c", "extra"}));
}

TEST_F(Tree, AFileThatChangedSinceItWasSeenIsNotTakenForWhatItWas) {
  const UniqueFd source = dir.make_dir("source");
  replace_file(source, "a", "first", 0644);
  const std::vector<IndexEntry> entries = scan(source, true);
  const IndexEntry& seen = at(entries, "a");
  {
    const UniqueFd same = tree_io::open_entry(source, "a");
    EXPECT_EQ(hash_as_seen(same, seen).content, seen.content);
  }
  replace_file(source, "a", "longer", 0644);
  tree_io::set_mtime_at(source, "a", seen.mtime_ns);
  EXPECT_EQ(code_of([&] { (void)hash_as_seen(tree_io::open_entry(source, "a"), seen); }),
            ErrorCode::Conflict);
  replace_file(source, "a", "other", 0644);
  tree_io::set_mtime_at(source, "a", seen.mtime_ns + 1);
  EXPECT_EQ(code_of([&] { (void)hash_as_seen(tree_io::open_entry(source, "a"), seen); }),
            ErrorCode::Conflict);
}

}  // namespace
}  // namespace karapace::store
