// SPDX-License-Identifier: Apache-2.0
#include "karapace/store/gc.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "karapace/base/durable.hpp"
#include "karapace/store/integrity.hpp"
#include "karapace/store/object_store.hpp"
#include "karapace/store/snapshot_log.hpp"
#include "karapace/store/wal.hpp"
#include "test_store.hpp"

namespace karapace::store {
namespace {

using testing::make_record;

class Gc : public testing::StoreTest {
 protected:
  /// A layer with one file of its own and one that all layers share.
  std::string make_layer(const std::string& content) {
    const UniqueFd staging = layout.staging();
    ensure_directory_at(staging, "tree/sub");
    write(staging, "tree/own", content);
    write(staging, "tree/sub/common", "common content");
    return testing::publish_layer(layout, staging).hash.hex();
  }

  EnvRecord make_environment(char digit, const std::string& layer) {
    EnvRecord record = make_record(digit);
    record.base_layer = layer;
    record.dependency_layers.clear();
    record.manifest_hash = ObjectStore(layout).put(std::string("manifest ") + digit).hex();
    ensure_directory_at(layout.environments(), record.env_id + "/upper");
    MetadataStore(layout).put(record);
    return record;
  }

  static void write(FdRef dir, const std::string& name, std::string_view content) {
    write_all(open_beneath(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0644), content);
  }

  GcPlan plan() {
    GcPlan all = plan_gc(layout, roots, no_progress(), CancelToken::process());
    if (!roots.discard_lost) {
      EXPECT_EQ(plan_gc_of_trees(layout, no_progress(), CancelToken::process()), all.trees);
    }
    return all;
  }
  GcResult collect() {
    const FileLock lock = layout.lock_exclusive();
    return apply_gc(layout, plan(), {}, no_progress(), CancelToken::process());
  }
  void expect_whole() {
    for (const IntegrityFault& fault : verify_store(layout, no_progress(), CancelToken::process()).failed)
      ADD_FAILURE() << fault.kind << " " << fault.hash << ": " << fault.reason;
  }
  [[nodiscard]] bool has(const std::string& path) const { return exists_at(layout.root(), path); }

  GcRoots roots;
};

TEST_F(Gc, AStoreInUseHasNothingToFree) {
  make_environment('a', make_layer("a"));
  const GcPlan nothing = plan();
  EXPECT_EQ(nothing.size(), 0U);
  EXPECT_EQ(nothing.bytes, 0U);
  EXPECT_TRUE(nothing.holds.empty());
  collect();
  expect_whole();
}

TEST_F(Gc, FreesWhatOnlyAnEnvironmentThatIsGoneNeededAndKeepsWhatIsShared) {
  const std::string kept = make_layer("kept");
  const std::string gone = make_layer("gone");
  make_environment('a', kept);
  EXPECT_EQ(plan().layers, std::vector<std::string>{gone});
  const GcPlan plan_made = plan();
  EXPECT_EQ(plan_made.trees, std::vector<std::string>{gone});
  // Content of the one file and the index; the times are the same in both.
  EXPECT_EQ(plan_made.objects.size(), 2U);
  const GcResult done = collect();
  EXPECT_EQ(done.layers, 1U);
  EXPECT_EQ(done.trees, 1U);
  EXPECT_EQ(done.objects, 2U);
  EXPECT_TRUE(done.failures.empty());
  EXPECT_FALSE(has("trees/" + gone));
  EXPECT_TRUE(has("trees/" + kept + "/sub/common"));
  EXPECT_EQ(plan().size(), 0U);
  expect_whole();
}

TEST_F(Gc, CountsBytesOfInodesThatLoseTheirLastNameAndNoOthers) {
  const std::string big(1 << 20, 'x');
  make_environment('a', make_layer("small"));
  make_layer(big);
  const std::uint64_t with_other_name = [&] {
    // A name that stays: the inode is not given back.
    const std::string object = hash_bytes(big).hex();
    try_link_at(layout.objects(), object, layout.environments(), std::string(64, 'a') + "/upper/linked");
    return plan().bytes;
  }();
  EXPECT_LT(with_other_name, big.size());
  unlink_at(layout.environments(), std::string(64, 'a') + "/upper/linked");
  EXPECT_GE(plan().bytes, big.size());
  EXPECT_LT(plan().bytes, big.size() + 256 * 1024);
}

TEST_F(Gc, SnapshotsKeepTheirLayers) {
  const EnvRecord record = make_environment('a', make_layer("base"));
  SnapshotRecord snapshot;
  snapshot.layer = make_layer("committed");
  snapshot.layers = {record.base_layer, snapshot.layer};
  snapshot.created_at = record.created_at;
  set_snapshot_id(snapshot);
  SnapshotLog(layout).append(record.env_id, {snapshot});
  EXPECT_EQ(plan().size(), 0U);
  SnapshotLog(layout).remove(record.env_id);
  EXPECT_EQ(plan().layers, std::vector<std::string>{snapshot.layer});
}

TEST_F(Gc, AListOfSnapshotsThatLostItsEndKeepsEveryLayer) {
  EnvRecord record = make_environment('a', make_layer("base"));
  SnapshotRecord snapshot;
  snapshot.layer = make_layer("committed");
  snapshot.layers = {record.base_layer, snapshot.layer};
  snapshot.created_at = record.created_at;
  set_snapshot_id(snapshot);
  SnapshotLog(layout).append(record.env_id, {snapshot});
  record.head = snapshot.id;
  MetadataStore(layout).put(record);
  EXPECT_TRUE(plan().holds.empty());
  make_layer("older");
  const std::string list = "snapshots/" + record.env_id;
  write(layout.store(), list, read_file_at(layout.store(), list, 10000).substr(0, 100));
  EXPECT_EQ(plan().size(), 0U);
  ASSERT_EQ(plan().holds.size(), 1U);
  EXPECT_TRUE(plan().holds[0].damage);
  SnapshotLog(layout).remove(record.env_id);
  EXPECT_EQ(plan().size(), 0U);
  EXPECT_EQ(plan().holds.size(), 1U);
}

TEST_F(Gc, ADamagedRecordKeepsEverythingItMayName) {
  const EnvRecord record = make_environment('a', make_layer("a"));
  const std::string other = make_layer("maybe");
  ObjectStore(layout).put("maybe its manifest");
  replace_file(layout.metadata(), record.env_id, "garbage");
  const GcPlan careful = plan();
  EXPECT_EQ(careful.size(), 0U);
  ASSERT_EQ(careful.holds.size(), 1U);
  EXPECT_EQ(careful.holds[0].what, "store/metadata/" + record.env_id);
  EXPECT_TRUE(careful.holds[0].damage);
  EXPECT_FALSE(careful.holds[0].fix.empty());
  collect();
  EXPECT_TRUE(has("trees/" + other));
  EXPECT_TRUE(has("env/" + record.env_id + "/upper"));
}

TEST_F(Gc, ADamagedSnapshotKeepsEveryLayer) {
  const EnvRecord record = make_environment('a', make_layer("a"));
  make_layer("maybe");
  ensure_directory_at(layout.store(), "snapshots");
  write(layout.store(), "snapshots/" + record.env_id, "{\"damaged\":1}\n");
  EXPECT_EQ(plan().size(), 0U);
  EXPECT_EQ(plan().holds.size(), 1U);
}

TEST_F(Gc, ALiveLayerThatCannotBeReadKeepsEveryObject) {
  const std::string layer = make_layer("a");
  make_environment('a', layer);
  ObjectStore(layout).put("unreferenced");
  EXPECT_EQ(plan().objects.size(), 1U);
  const std::string record = read_file_at(layout.layers(), layer, 10000);
  unlink_at(layout.layers(), layer);
  EXPECT_TRUE(plan().objects.empty());
  EXPECT_EQ(plan().holds.size(), 1U);
  replace_file(layout.layers(), layer, record);
  replace_file(layout.objects(), layer, "damaged index");
  EXPECT_TRUE(plan().objects.empty());
  EXPECT_TRUE(plan().trees.empty());
}

TEST_F(Gc, ArtefactsStayIfALockNamesThem) {
  const std::string needed(64, 'd');
  const std::string unneeded(64, 'e');
  const UniqueFd downloads = layout.open_dir("store/downloads");
  write(downloads, needed + ".part", "needed artefact");
  write(downloads, unneeded + ".part", "unneeded artefact");
  PackageStore(layout).adopt_downloads({needed, unneeded});
  roots.packages = {needed};
  EXPECT_EQ(plan().packages, std::vector<std::string>{unneeded});
  EXPECT_EQ(plan().objects, std::vector<Digest>{hash_bytes("unneeded artefact")});
  roots.all_packages_because = "a lock cannot be read";
  EXPECT_EQ(plan().size(), 0U);
  roots.all_packages_because.clear();
  collect();
  EXPECT_TRUE(has("store/packages/" + needed));
  EXPECT_FALSE(has("store/packages/" + unneeded));
  expect_whole();
}

TEST_F(Gc, ACopiedArtefactKeepsItsObject) {
  const std::string sha(64, 'd');
  const std::string object = ObjectStore(layout).put("artefact").hex();
  write(layout.open_dir("store/packages"), sha, "artefact");
  roots.packages = {sha};
  EXPECT_EQ(plan().size(), 0U);
  roots.packages.clear();
  EXPECT_EQ(plan().objects, std::vector<Digest>{Digest::parse(object)});
}

TEST_F(Gc, BuildRecordsStayAsLongAsTheirLayer) {
  const std::string kept = make_layer("kept");
  const std::string gone = make_layer("gone");
  make_environment('a', kept);
  BuildCache(layout).put(hash_bytes("key 1"), Digest::parse(kept));
  BuildCache(layout).put(hash_bytes("key 2"), Digest::parse(gone));
  EXPECT_EQ(plan().builds, std::vector<std::string>{hash_bytes("key 2").hex()});
}

TEST_F(Gc, EnvironmentsWithoutARecordGoAndThoseInUseStay) {
  const std::string orphan(64, 'b');
  const std::string used(64, 'c');
  ensure_directory_at(layout.environments(), orphan + "/upper");
  ensure_directory_at(layout.environments(), orphan + "/work/work");
  ASSERT_EQ(plan().environments, std::vector<std::string>{orphan});
  ensure_directory_at(layout.environments(), used + "/run");
  {
    const FileLock session = FileLock::acquire(
        open_beneath(layout.environments(), used + "/run/sessions", O_RDWR | O_CREAT), LockMode::Shared);
    make_layer("mounted by the session, as far as anybody knows");
    const GcPlan careful = plan();
    EXPECT_EQ(careful.environments, std::vector<std::string>{orphan});
    EXPECT_TRUE(careful.layers.empty());
    EXPECT_EQ(careful.holds.size(), 1U);
    collect();
    EXPECT_TRUE(has("env/" + used));
    EXPECT_FALSE(has("env/" + orphan));
  }
  EXPECT_EQ(plan().environments, std::vector<std::string>{used});
  collect();
  EXPECT_TRUE(list_directory(layout.environments()).empty());
  expect_whole();
}

TEST_F(Gc, WhatAUserWroteStaysWithoutARecordUntilSomebodySaysSo) {
  const UniqueFd environments = layout.environments();
  const std::string upper(64, 'b');
  const std::string home(64, 'c');
  const std::string committed(64, 'd');
  ensure_directory_at(environments, upper + "/upper");
  write(environments, upper + "/upper/file", "content");
  ensure_directory_at(environments, home + "/home/notes");
  SnapshotRecord snapshot;
  snapshot.layer = make_layer("committed");
  snapshot.layers = {snapshot.layer};
  snapshot.created_at = format_rfc3339(now());
  set_snapshot_id(snapshot);
  SnapshotLog(layout).append(committed, {snapshot});
  make_layer("rubbish");

  const GcPlan careful = plan();
  EXPECT_TRUE(careful.environments.empty());
  EXPECT_EQ(careful.layers.size(), 1U) << "only the rubbish";
  ASSERT_EQ(careful.holds.size(), 3U);
  EXPECT_EQ(careful.holds[0].what, "env/" + upper);
  EXPECT_NE(careful.holds[0].reason.find("upper"), std::string::npos);
  EXPECT_NE(careful.holds[2].reason.find("snapshot"), std::string::npos);
  EXPECT_FALSE(careful.holds[0].damage);
  collect();
  EXPECT_TRUE(has("env/" + upper + "/upper/file"));
  EXPECT_TRUE(has("env/" + home + "/home/notes"));
  EXPECT_TRUE(has("store/snapshots/" + committed));
  EXPECT_TRUE(has("store/layers/" + snapshot.layer));
  std::vector<std::string> lost;
  for (const IntegrityFault& fault : verify_store(layout, no_progress(), CancelToken::process()).failed) {
    EXPECT_TRUE(fault.reason.starts_with("its record is missing")) << fault.reason;
    lost.push_back(fault.hash);
  }
  EXPECT_EQ(lost, (std::vector{upper, home, committed}));

  roots.discard_lost = true;
  EXPECT_EQ(plan().environments, (std::vector{upper, home, committed}));
  EXPECT_TRUE(plan().holds.empty());
  collect();
  EXPECT_TRUE(list_directory(environments).empty());
  EXPECT_FALSE(has("store/layers/" + snapshot.layer));
  EXPECT_EQ(plan().size(), 0U);
}

TEST_F(Gc, AnUnfinishedOperationKeepsWhatItMayNeed) {
  make_layer("made by the operation");
  {
    Operation operation = Operation::begin(layout, OpKind::Build, "", {});
    write(operation.staging(), "half", "half");
    const GcPlan careful = plan();
    EXPECT_EQ(careful.size(), 0U);
    ASSERT_EQ(careful.holds.size(), 1U);
    EXPECT_FALSE(careful.holds[0].damage) << "nothing is wrong: somebody is at work";
    operation.finish();
  }
  EXPECT_EQ(plan().layers.size(), 1U);
  ensure_directory_at(layout.open_dir("store/wal"), "corrupt");
  EXPECT_EQ(plan().layers.size(), 1U);
  write(layout.open_dir("store/wal/corrupt"), "entry", "garbage");
  EXPECT_TRUE(plan().layers.empty());
  EXPECT_TRUE(plan().holds.at(0).damage);
}

TEST_F(Gc, WhatAUserWroteIsNotLostWithTheJournalEntryOfACommit) {
  make_layer("maybe");
  const std::string operation(32, 'c');
  ensure_directory_at(layout.staging(), operation + "/fresh");
  write(layout.staging(), operation + "/fresh/work", "what a user wrote");
  write(layout.staging(), operation + "/plan", "the plan of a switch");
  recover(layout);
  const GcPlan careful = plan();
  EXPECT_EQ(careful.size(), 0U);
  EXPECT_EQ(careful.holds.size(), 1U);
  collect();
  EXPECT_TRUE(has("store/staging/" + operation + "/fresh/work"));
}

TEST_F(Gc, ArchivedEnvironmentsKeepLayersButNoTrees) {
  const std::string layer = make_layer("a");
  EnvRecord record = make_environment('a', layer);
  record.state = EnvState::Archived;
  MetadataStore(layout).put(record);
  EXPECT_EQ(plan().trees, std::vector<std::string>{layer});
  EXPECT_TRUE(plan().objects.empty());
  // A tree that could not be laid out again stays.
  const std::string content = hash_bytes("a").hex();
  const UniqueFd objects = layout.objects();
  ASSERT_TRUE(rename_at(objects, content, layout.root(), "aside", Replace::No));
  EXPECT_TRUE(plan().trees.empty());
  ASSERT_TRUE(rename_at(layout.root(), "aside", objects, content, Replace::No));
  make_environment('b', layer);
  EXPECT_TRUE(plan().trees.empty());
}

TEST_F(Gc, AnInodeIsOneHoweverManyNamesItHas) {
  const UniqueFd trees = open_beneath(layout.root(), "trees", O_RDONLY | O_DIRECTORY);
  ensure_directory_at(trees, "many");
  constexpr unsigned kNames = 9000;
  const std::string first = "many/0";
  write(trees, first, "content");
  for (unsigned i = 1; i < kNames; ++i) try_link_at(trees, first, trees, "many/" + std::to_string(i));
  write(trees, "many/shared", "other content");
  try_link_at(trees, "many/shared", layout.root(), "outside");
  TreeSizes sizes = read_tree_sizes(trees, "many", CancelToken::process());
  ASSERT_EQ(sizes.linked.size(), 2U);
  std::ranges::sort(sizes.linked, {}, &LinkedInode::names);
  EXPECT_EQ(sizes.linked[0].names, 1U);
  EXPECT_EQ(sizes.linked[0].links, 2U);
  EXPECT_EQ(sizes.linked[1].names, kNames);
  EXPECT_EQ(sizes.linked[1].links, kNames);
}

TEST_F(Gc, LeftoversOfCrashesGo) {
  const EnvRecord used = make_environment('a', make_layer("a"));
  write(layout.objects(), ".tmp-0123456789ab", "half");
  ensure_directory_at(layout.trees(), ".tmp-0123456789abcdef/sub");
  ensure_directory_at(layout.environments(), ".tmp-0123456789abcdef/upper");
  ensure_directory_at(layout.staging(), std::string(32, 'b') + "/x");
  write(layout.open_dir("store/names"), "old-name", std::string(64, '9'));
  write(layout.open_dir("store/names"), "renamed-since", used.env_id);
  write(layout.open_dir("store/downloads"), std::string(64, '9') + ".part", "half");
  write(layout.open_dir("store/downloads"), ".lock", "");
  EXPECT_EQ(plan().leftovers.size(), 6U);
  EXPECT_EQ(plan().downloads.size(), 1U) << "not the lock of the downloader";
  EXPECT_EQ(collect().leftovers, 6U);
  EXPECT_EQ(plan().size(), 0U);
  expect_whole();
}

TEST_F(Gc, LinksThatSomebodyPlantedAreNeverFollowed) {
  make_environment('a', make_layer("a"));
  dir.make_dir("precious");
  dir.write("precious/file", "precious", 0644);
  const std::string outside = dir.path() + "/precious";
  symlink_at(outside, layout.trees(), std::string(64, '7'));
  symlink_at(outside, layout.trees(), ".tmp-planted");
  symlink_at(outside, layout.environments(), std::string(64, '7'));
  symlink_at(outside, layout.environments(), "not an id");
  symlink_at(outside + "/file", layout.objects(), std::string(64, '7'));
  symlink_at(outside + "/file", layout.open_dir("store/packages"), std::string(64, '7'));
  symlink_at(outside, layout.staging(), "planted");
  symlink_at(outside + "/file", layout.open_dir("store/downloads"), std::string(64, '7') + ".part");
  EXPECT_LT(plan().bytes, 64U * 1024);
  const GcResult done = collect();
  EXPECT_TRUE(done.failures.empty());
  EXPECT_EQ(dir.read("precious/file"), "precious");
  EXPECT_TRUE(has("env/not an id")) << "not ours to remove";
  EXPECT_TRUE(has("env/" + std::string(64, 'a') + "/upper"));
}

TEST_F(Gc, ADirectoryInPlaceOfAFileIsNotOursAndKeepsNothingElseFromGoing) {
  make_layer("gone");
  ensure_directory_at(layout.objects(), std::string(64, '5') + "/inside");
  ensure_directory_at(layout.store(), "layers/" + std::string(64, '5') + "/inside");
  EXPECT_TRUE(collect().failures.empty());
  EXPECT_TRUE(list_directory(layout.trees()).empty());
  EXPECT_EQ(list_directory(layout.objects()).size(), 1U);
}

TEST_F(Gc, CancellationStopsBetweenTwoStepsWithAValidStore) {
  make_environment('a', make_layer("kept"));
  for (int i = 0; i < 20; ++i) make_layer("gone " + std::to_string(i));

  class StopAt : public ProgressSink {
   public:
    StopAt(CancelToken& token, std::uint64_t at) : token_(token), at_(at) {}
    void step(std::string_view, std::string_view) override {}
    void advance(std::uint64_t done, std::uint64_t, std::string_view) override {
      if (done >= at_) token_.request(2);
    }
    void note(std::string_view) override {}

   private:
    CancelToken& token_;
    std::uint64_t at_;
  };

  std::size_t left = plan().size();
  ASSERT_GT(left, 10U);
  int cancelled = 0;
  while (left > 0) {
    CancelToken token;
    StopAt progress(token, 2);
    try {
      apply_gc(layout, plan(), {}, progress, token);  // what other threads have begun, they end
    } catch (const Cancelled&) {
      ++cancelled;
    }
    expect_whole();
    ASSERT_LT(plan().size(), left);
    left = plan().size();
  }
  EXPECT_GE(cancelled, 2);
}

}  // namespace
}  // namespace karapace::store
