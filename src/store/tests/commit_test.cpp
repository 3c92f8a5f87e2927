// SPDX-License-Identifier: Apache-2.0
// Commits of whatever a file system can hold. Built twice, as tree_test.cpp is.
#include "karapace/store/commit.hpp"

#include <sys/stat.h>

#include <algorithm>

#include "commit_store.hpp"
#include "karapace/base/xattr.hpp"
#include "karapace/store/integrity.hpp"
#include "random_tree.hpp"

namespace karapace::store {
namespace {

using namespace testing;

class Commit : public StoreTest {
 protected:
  [[nodiscard]] UniqueFd upper() const { return open_upper(layout, record); }
  void write_upper(const std::string& name, std::string_view content, mode_t mode = 0644) const {
    write_all(open_beneath(upper(), name, O_WRONLY | O_CREAT | O_TRUNC, mode), content);
  }
  static void set_times(FdRef dir, const char* name, time_t seconds) {
    const struct timespec times[2] = {{seconds, 0}, {seconds, 0}};
    ASSERT_EQ(::utimensat(dir.get(), name, times, 0), 0);
  }
  void expect_sound() const {
    for (const IntegrityFault& fault : verify_store(layout, no_progress(), CancelToken::process()).failed)
      ADD_FAILURE() << fault.kind << " " << fault.hash << ": " << fault.reason;
    EXPECT_TRUE(list_directory(layout.staging()).empty());
    EXPECT_TRUE(list_directory(layout.open_dir("store/wal")).empty());
  }
  EnvRecord record = make_environment(layout, 'a');
};

std::vector<IndexEntry> on_disk(std::vector<IndexEntry> entries, bool flat) {
  for (IndexEntry& entry : entries) entry.mode = mode_on_disk(entry.mode, flat);
  return entries;
}

class RandomCommit : public Commit, public ::testing::WithParamInterface<std::uint32_t> {};

TEST_P(RandomCommit, TreeIsTheUpperDirectoryAsItWasInEverything) {
  SCOPED_TRACE("seed " + std::to_string(GetParam()));
  for (const bool flat : {true, false}) {
    fill_random_tree(upper(), GetParam(), TreeOptions{60, false});
    std::vector<IndexEntry> before = scan(upper(), flat);
    const EnvRecord after = commit_environment(layout, record.env_id, flat);
    const Digest layer = Digest::parse(after.snapshot_layers.back());
    const UniqueFd tree = layout.open_dir("trees/" + layer.hex());
    Xattrs xattrs = before.front().xattrs;
    if (!flat) xattrs.emplace_back("user.karapace.ownership", "mapped");
    std::ranges::sort(xattrs);
    before.front().xattrs = std::move(xattrs);
    EXPECT_EQ(scan(tree, flat), on_disk(before, flat));

    const LayerRecord stored = LayerStore(layout).load(layer);
    std::vector<IndexEntry> index = decode_index(ObjectStore(layout).load(stored.index_object));
    apply_mtimes(index, ObjectStore(layout).load(stored.mtimes_object));
    EXPECT_EQ(index, before);
    EXPECT_TRUE(testing::faults_of(tree, layout.objects(), index, flat).empty());

    // Everything is there to lay it out again.
    const UniqueFd again = dir.make_dir(flat ? "again-flat" : "again-mapped");
    lay_out_tree(index, layout.objects(), again, flat);
    EXPECT_TRUE(same_tree(scan(again, flat), index, flat));
    EXPECT_TRUE(list_directory(upper()).empty());
    MetadataStore(layout).put(record);  // from the beginning again
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomCommit, ::testing::Range(1U, 25U));

TEST_F(Commit, EmptyUpperDirectoryIsNothingToCommit) {
  EXPECT_TRUE(is_upper_clean(upper(), open_top(layout, record), true, 0));
  Operation operation = Operation::begin(layout, OpKind::Commit, record.env_id, {});
  EXPECT_FALSE(prepare_commit(upper(), open_top(layout, record), operation.staging(), layout.root(), {},
                              no_progress(), CancelToken::process())
                   .changed);
}

TEST_F(Commit, ChangedRootDirectoryIsSomethingToCommit) {
  ASSERT_EQ(::fchmod(upper().get(), 0700), 0);
  EXPECT_FALSE(is_upper_clean(upper(), open_top(layout, record), true, 0));
  const EnvRecord after = commit_environment(layout, record.env_id);
  EXPECT_EQ(after.snapshot_layers.size(), 1U);
  EXPECT_EQ(stat_fd(upper()).st_mode & 07777, 0700U) << "the fresh one goes on with it";
  EXPECT_TRUE(is_upper_clean(upper(), open_top(layout, after), true, 0));
  expect_sound();
}

TEST_F(Commit, FilesAreMovedAndNotCopied) {
  write_upper("file", "content");
  const ino_t inode = stat_at(upper(), "file")->st_ino;
  const EnvRecord after = commit_environment(layout, record.env_id);
  EXPECT_EQ(stat_at(open_top(layout, after), "file")->st_ino, inode);
  EXPECT_EQ(stat_at(layout.objects(), hash_bytes("content").hex())->st_ino, inode);
  expect_sound();
}

TEST_F(Commit, ContentThatTheStoreHasTakesNoSpace) {
  write_upper("one", "content");
  const struct timespec times[2] = {{1700000000, 0}, {1700000000, 0}};
  ASSERT_EQ(::utimensat(upper().get(), "one", times, 0), 0);
  const EnvRecord first = commit_environment(layout, record.env_id);
  write_upper("two", "content");
  ASSERT_EQ(::utimensat(upper().get(), "two", times, 0), 0);
  const EnvRecord second = commit_environment(layout, record.env_id);
  EXPECT_EQ(stat_at(open_top(layout, first), "one")->st_ino,
            stat_at(open_top(layout, second), "two")->st_ino);
  expect_sound();
}

TEST_F(Commit, SameTreeAgainSharesTheLayer) {
  const auto write = [this] {
    write_upper("one", "content");
    set_times(upper(), "one", 1'700'000'000);
    set_times(upper(), ".", 1'700'000'000);
  };
  write();
  const EnvRecord first = commit_environment(layout, record.env_id);
  write();
  const EnvRecord second = commit_environment(layout, record.env_id);
  EXPECT_EQ(second.snapshot_layers, (std::vector{first.snapshot_layers[0], first.snapshot_layers[0]}));
  expect_sound();
}

TEST_F(Commit, SameFilesWithOtherTimesKeepTheirTimes) {
  for (const bool flat : {true, false}) {
    MetadataStore(layout).put(record);
    write_upper("one", "content");
    set_times(upper(), "one", 1'000'000'000);
    const EnvRecord first = commit_environment(layout, record.env_id, flat);
    for (int round = 0; round < 2; ++round) {
      MetadataStore(layout).put(record);
      write_upper("one", "content");
      set_times(upper(), "one", 1'700'000'000);
      set_times(upper(), ".", 1'700'000'000);
      const EnvRecord second = commit_environment(layout, record.env_id, flat);
      EXPECT_NE(second.snapshot_layers, first.snapshot_layers);
      EXPECT_EQ(stat_at(open_top(layout, first), "one")->st_mtim.tv_sec, 1'000'000'000);
      EXPECT_EQ(stat_at(open_top(layout, second), "one")->st_mtim.tv_sec, 1'700'000'000);
      EXPECT_TRUE(is_upper_clean(upper(), open_top(layout, second), flat, 0)) << "the mark is no change";
    }
  }
  expect_sound();
}

TEST_F(Commit, FileOfAMappedTreeThatOthersMayNotReadIsNoObject) {
  write_upper("sudoers", "content", 0440);
  const EnvRecord after = commit_environment(layout, record.env_id, false);
  const auto object = stat_at(layout.objects(), hash_bytes("content").hex());
  ASSERT_TRUE(object);
  EXPECT_NE(object->st_ino, stat_at(open_top(layout, after), "sudoers")->st_ino);
  EXPECT_EQ(object->st_mode & 0777U, 0444U) << "a flat environment with this file must be able to read it";
  expect_sound();
}

TEST_F(Commit, ObjectThatCannotBeReadIsReplaced) {
  const std::string object = hash_bytes("content").hex();
  write_all(open_beneath(layout.objects(), object, O_WRONLY | O_CREAT, 0), "content");
  write_upper("one", "content");
  const EnvRecord after = commit_environment(layout, record.env_id);
  EXPECT_EQ(stat_at(open_top(layout, after), "one")->st_ino, stat_at(layout.objects(), object)->st_ino);
  expect_sound();
}

TEST_F(Commit, DirectoryWithTheNameOfAnObjectIsPutAside) {
  const std::string object = hash_bytes("content").hex();
  make_directory_at(layout.objects(), object, 0700);
  write_all(open_beneath(layout.objects(), object + "/planted", O_WRONLY | O_CREAT, 0600), "somebody's");
  write_upper("one", "content");
  const EnvRecord after = commit_environment(layout, record.env_id);
  EXPECT_EQ(stat_at(open_top(layout, after), "one")->st_ino, stat_at(layout.objects(), object)->st_ino);
}

TEST_F(Commit, DamagedObjectIsReplacedByWhatIsCommitted) {
  write_upper("one", "content");
  const Digest digest = hash_bytes("content");
  write_all(open_beneath(layout.objects(), digest.hex(), O_WRONLY | O_CREAT, 0644), "c0ntent");
  commit_environment(layout, record.env_id);
  EXPECT_EQ(ObjectStore(layout).load(digest), "content");
  expect_sound();
}

TEST_F(Commit, OverlaysOwnAttributesAreDroppedAndOpaqueStays) {
  ensure_directory_at(upper(), "dir");
  set_xattr(upper(), "dir", "user.overlay.opaque", "y");
  set_xattr(upper(), "dir", "user.overlay.impure", "y");
  set_xattr(upper(), "dir", "user.mine", "kept");
  const EnvRecord after = commit_environment(layout, record.env_id);
  const auto xattrs = list_xattrs(open_top(layout, after), "dir");
  EXPECT_EQ(xattrs, (std::vector<std::pair<std::string, std::string>>{{"user.mine", "kept"},
                                                                      {"user.overlay.opaque", "y"}}));
}

TEST_F(Commit, SocketIsRefusedByNameAndNothingIsChanged) {
  write_upper("file", "content");
  ASSERT_EQ(::mknodat(upper().get(), "socket", S_IFSOCK | 0600, 0), 0);
  EXPECT_EQ(code_of([&] { commit_environment(layout, record.env_id); }), ErrorCode::InvalidInput);
  recover(layout);
  EXPECT_EQ(MetadataStore(layout).find(record.env_id), record);
  EXPECT_EQ(stat_at(upper(), "file")->st_nlink, 1U);
  EXPECT_TRUE(SnapshotLog(layout).read(record.env_id).snapshots.empty());
  expect_sound();
}

TEST_F(Commit, DiscardEmptiesTheUpperDirectoryAndKeepsTheLayers) {
  write_upper("file", "one");
  const EnvRecord first = commit_environment(layout, record.env_id);
  write_upper("file", "two");
  discard_to(layout, record.env_id, first.snapshot_layers);
  EXPECT_TRUE(list_directory(upper()).empty());
  EXPECT_EQ(read_file_at(open_top(layout, first), "file", 100), "one");
  expect_sound();
}

TEST_F(Commit, DamagedPlanBeforeAnythingMovedIsForgotten) {
  write_upper("file", "content");
  {
    const Operation dead = Operation::begin(layout, OpKind::Commit, record.env_id,
                                            {{WalStep::Kind::FinishSwitch, record.env_id}});
    write_all(open_beneath(dead.staging(), "plan", O_WRONLY | O_CREAT, 0600), "torn");
  }
  EXPECT_EQ(recover(layout).undone.size(), 1U);
  EXPECT_EQ(read_file_at(upper(), "file", 100), "content");
  expect_sound();
}

TEST_F(Commit, DamagedPlanWithFilesOfTheEnvironmentIsKept) {
  {
    const Operation dead = Operation::begin(layout, OpKind::Commit, record.env_id,
                                            {{WalStep::Kind::FinishSwitch, record.env_id}});
    write_all(open_beneath(dead.staging(), "plan", O_WRONLY | O_CREAT, 0600), "damaged");
    ensure_directory_at(dead.staging(), "fresh/precious");
  }
  EXPECT_TRUE(recover(layout).undone.empty());
  EXPECT_EQ(list_directory(layout.staging()).size(), 1U);
}

TEST_F(Commit, RecoveryLeavesAnEnvironmentAloneThatSomebodyIsIn) {
  write_upper("file", "content");
  ensure_directory_at(layout.open_dir("env/" + record.env_id), "run");
  {
    const Operation dead = Operation::begin(layout, OpKind::Restore, record.env_id,
                                            {{WalStep::Kind::FinishSwitch, record.env_id}});
    stage_fresh_upper(dead.staging(), open_top(layout, record), true);
    write_switch_plan(dead.staging(), {.env_id = record.env_id,
                                       .updated_at = record.updated_at,
                                       .snapshot = std::nullopt,
                                       .layer = std::nullopt,
                                       .mtimes = {},
                                       .upper_inode = stat_fd(upper()).st_ino,
                                       .flat = true});
  }
  {
    const FileLock session = FileLock::acquire(
        open_beneath(layout.open_dir("env/" + record.env_id + "/run"), "sessions", O_RDWR | O_CREAT, 0600),
        LockMode::Shared);
    EXPECT_TRUE(recover(layout).undone.empty());
    EXPECT_EQ(read_file_at(upper(), "file", 100), "content");
  }
  EXPECT_EQ(recover(layout).undone.size(), 1U);
  EXPECT_TRUE(list_directory(upper()).empty());
}

}  // namespace
}  // namespace karapace::store
