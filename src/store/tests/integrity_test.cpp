// SPDX-License-Identifier: Apache-2.0
#include "karapace/store/integrity.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <utility>

#include "karapace/base/durable.hpp"
#include "karapace/store/commit.hpp"
#include "karapace/store/index_stream.hpp"
#include "karapace/store/object_store.hpp"
#include "karapace/store/wal.hpp"
#include "test_store.hpp"

namespace karapace::store {
namespace {

using testing::code_of;
using testing::make_record;

class Integrity : public testing::StoreTest {
 protected:
  Integrity() {
    const UniqueFd staging = layout.staging();
    ensure_directory_at(staging, "tree/sub");
    write_all(open_beneath(staging, "tree/file", O_WRONLY | O_CREAT, 0644), "content");
    write_all(open_beneath(staging, "tree/sub/other", O_WRONLY | O_CREAT, 0644), "other");
    sealed = testing::publish_layer(layout, staging);
    record = make_record('a', "dev");
    record.base_layer = sealed.hash.hex();
    record.dependency_layers.clear();
    record.manifest_hash = ObjectStore(layout).put("{}").hex();
    put_built(record);
  }

  /// With its directory, as a build makes it.
  void put_built(const EnvRecord& built) {
    ensure_directory_at(layout.environments(), built.env_id + "/upper", 0755);
    MetadataStore(layout).put(built);
  }
  SnapshotRecord add_snapshot() {
    SnapshotRecord snapshot;
    snapshot.layer = sealed.hash.hex();
    snapshot.layers = {snapshot.layer};
    snapshot.created_at = record.created_at;
    set_snapshot_id(snapshot);
    SnapshotLog(layout).append(record.env_id, {snapshot});
    return snapshot;
  }

  IntegrityReport verify() { return verify_store(layout, no_progress(), CancelToken::process()); }
  static std::string faults_of(const IntegrityReport& report) {
    std::string text;
    for (const IntegrityFault& bad : report.failed)
      text += bad.kind + " " + bad.hash + ": " + bad.reason + "\n";
    return text;
  }
  const IntegrityFault& fault(const IntegrityReport& report, const std::string& kind) {
    const auto found = std::ranges::find(report.failed, kind, &IntegrityFault::kind);
    if (found == report.failed.end()) throw Error(ErrorCode::NotFound, "no fault of kind " + kind);
    return *found;
  }
  void overwrite(const std::string& below, std::string_view content) {
    const std::string path = store_path(below);
    replace_file(dir.fd(), path, content, 0644);
  }

  testing::Sealed sealed;
  EnvRecord record;
  std::vector<std::string> me{std::string(64, 'a')};
};

/// Does something when verification has come to a step.
class Meanwhile : public ProgressSink {
 public:
  Meanwhile(std::string step, std::function<void()> action)
      : step_(std::move(step)), action_(std::move(action)) {}
  void step(std::string_view, std::string_view detail) override {
    if (detail == step_) std::exchange(action_, [] {})();
  }
  void advance(std::uint64_t, std::uint64_t, std::string_view) override {}
  void note(std::string_view) override {}

 private:
  std::string step_;
  std::function<void()> action_;
};

TEST_F(Integrity, WholeStoreHasNoFaults) {
  const IntegrityReport report = verify();
  for (const IntegrityFault& bad : report.failed)
    ADD_FAILURE() << bad.kind << " " << bad.hash << " " << bad.reason;
  EXPECT_EQ(report.objects_checked, 5U);  // two files, index, times, manifest
  EXPECT_EQ(report.layers_checked, 1U);
  EXPECT_EQ(report.trees_checked, 1U);
  EXPECT_EQ(report.metadata_checked, 1U);
  EXPECT_EQ(report.checked, 8U);
  EXPECT_EQ(report.passed, 8U);
}

TEST_F(Integrity, DamagedObjectIsToldWithTheEnvironmentsThatNeedIt) {
  const std::string object = hash_bytes("content").hex();
  overwrite("store/objects/" + object, "Content");
  const IntegrityReport report = verify();
  EXPECT_EQ(fault(report, "object").hash, object);
  EXPECT_EQ(fault(report, "object").affects, me);
  EXPECT_EQ(fault(report, "layer").affects, me);
  EXPECT_EQ(report.checked, 8U);
  EXPECT_EQ(report.passed, 6U);
}

TEST_F(Integrity, WhatPassedAndWhatFailedIsWhatWasChecked) {
  ensure_directory_at(layout.staging(), std::string(32, 'b'));
  overwrite("store/objects/strange", "a name that is no digest");
  overwrite("store/packages/" + std::string(64, 'c'), "not an object");
  overwrite("trees/" + sealed.hash.hex() + "/file", "changed");
  const IntegrityReport report = verify();
  EXPECT_EQ(report.failed.size(), 4U) << faults_of(report);
  EXPECT_EQ(report.passed, 7U);
  EXPECT_EQ(report.checked, 11U);
}

TEST_F(Integrity, MissingObjectIsAFault) {
  unlink_at(layout.objects(), hash_bytes("other").hex());
  EXPECT_EQ(fault(verify(), "object").reason, "object is missing");
}

TEST_F(Integrity, DamagedRecordIsAFaultAndNotInvisible) {
  overwrite("store/metadata/" + record.env_id, "garbage");
  const IntegrityReport report = verify();
  EXPECT_EQ(report.metadata_checked, 1U);
  EXPECT_EQ(fault(report, "metadata").hash, record.env_id);
}

TEST_F(Integrity, AListOfSnapshotsThatLostItsEndIsAFault) {
  const SnapshotRecord snapshot = add_snapshot();
  record.head = snapshot.id;
  MetadataStore(layout).put(record);
  EXPECT_EQ(faults_of(verify()), "");
  const std::string list = "store/snapshots/" + record.env_id;
  overwrite(list, read_file_at(layout.root(), list, 10000).substr(0, 100));
  for (const bool cut_off : {true, false}) {
    if (!cut_off) SnapshotLog(layout).remove(record.env_id);
    const IntegrityReport report = verify();
    const IntegrityFault& found = fault(report, "snapshot");
    EXPECT_EQ(found.affects, me);
    EXPECT_EQ(found.snapshots, std::vector<std::string>{snapshot.id});
    EXPECT_TRUE(found.reason.contains(snapshot.id.substr(0, 12))) << found.reason;
  }
}

TEST_F(Integrity, ALostRecordIsToldWithAllThatIsLeftOfTheEnvironment) {
  const SnapshotRecord snapshot = add_snapshot();
  dir.write(store_path("env/" + record.env_id + "/upper/file"), "not committed");
  unlink_at(layout.metadata(), record.env_id);
  const IntegrityReport report = verify();
  const IntegrityFault& found = fault(report, "metadata");
  EXPECT_EQ(found.hash, record.env_id);
  EXPECT_EQ(found.affects, me);
  EXPECT_EQ(found.snapshots, std::vector<std::string>{snapshot.id});
  EXPECT_EQ(found.reason, "its record is missing; its name is 'dev'; there is upper and a snapshot in it");
  EXPECT_TRUE(found.fix.contains("gc --discard-lost")) << found.fix;
  EXPECT_EQ(report.failed.size(), 1U) << faults_of(report);
}

TEST_F(Integrity, ALostRecordIsToldByAnyTraceOfTheEnvironment) {
  unlink_at(layout.metadata(), record.env_id);
  EXPECT_EQ(fault(verify(), "metadata").reason,
            "its record is missing; its name is 'dev'; there is nothing in it that a user wrote");
  remove_tree_at(layout.environments(), record.env_id);
  const IntegrityReport report = verify();
  EXPECT_EQ(faults_of(report),
            "name dev: it leads to environment " + record.env_id + ", which is not there\n");
  add_snapshot();
  unlink_at(layout.open_dir("store/names"), "dev");
  EXPECT_EQ(fault(verify(), "metadata").reason, "its record is missing; there is a snapshot in it");
}

TEST_F(Integrity, ABuildOrDestroyThatIsHalfWayHasLostNoRecord) {
  for (const auto& [kind, step] : {std::pair{OpKind::Build, WalStep::Kind::RemoveEnvironment},
                                   std::pair{OpKind::Destroy, WalStep::Kind::FinishDestroy}}) {
    Operation operation = Operation::begin(layout, kind, record.env_id, {{step, record.env_id}});
    unlink_at(layout.metadata(), record.env_id);
    EXPECT_EQ(faults_of(verify()), "");
    MetadataStore(layout).put(record);
    operation.finish();
  }
}

TEST_F(Integrity, ALockThatIsLeftOfNothingIsNoEnvironment) {
  static_cast<void>(layout.lock_environment(std::string(64, 'c')));
  EXPECT_EQ(faults_of(verify()), "");
}

TEST_F(Integrity, ABuiltOrFrozenEnvironmentWithoutItsUpperDirectoryIsAFault) {
  remove_directory_at(layout.environments(), record.env_id + "/upper");
  for (const auto& [state, faults] : {std::pair{EnvState::Built, 1U}, std::pair{EnvState::Frozen, 1U},
                                      std::pair{EnvState::Archived, 0U}, std::pair{EnvState::Defined, 0U}}) {
    record.state = state;
    MetadataStore(layout).put(record);
    const IntegrityReport report = verify();
    EXPECT_EQ(report.failed.size(), faults) << faults_of(report);
    if (faults == 0) continue;
    EXPECT_EQ(fault(report, "environment").affects, me);
    EXPECT_TRUE(fault(report, "environment").reason.contains("upper is missing"));
  }
}

TEST_F(Integrity, RecordOfAMissingLayerIsAFault) {
  EnvRecord other = make_record('b');
  other.dependency_layers = {std::string(64, '9')};
  put_built(other);
  EXPECT_NE(fault(verify(), "metadata").reason.find("is missing"), std::string::npos);
}

TEST_F(Integrity, DamagedLayerRecordAndIndexAreFaults) {
  overwrite("store/layers/" + sealed.hash.hex(), "garbage");
  EXPECT_EQ(fault(verify(), "layer").affects, me);
  overwrite("store/objects/" + sealed.hash.hex(), "garbage");
  EXPECT_EQ(fault(verify(), "object").hash, sealed.hash.hex());
}

TEST_F(Integrity, ChangedTreeIsAFaultThatNamesThePath) {
  const std::string tree = "trees/" + sealed.hash.hex();
  overwrite(tree + "/sub/other", "OTHER");
  EXPECT_NE(fault(verify(), "tree").reason.find("sub/other"), std::string::npos);
  remove_tree_at(layout.trees(), sealed.hash.hex());
  EXPECT_EQ(fault(verify(), "tree").reason, "the tree is missing");
  EXPECT_EQ(fault(verify(), "tree").affects, me);
}

class MappedIntegrity : public Integrity {
 protected:
  MappedIntegrity() {
    unlink_at(layout.layers(), sealed.hash.hex());
    LayerRecord layer;
    layer.hash = sealed.hash;
    layer.ownership = "mapped";
    layer.entries = sealed.entries;
    layer.bytes = sealed.bytes;
    LayerStore(layout).put(layer, sealed.index, sealed.mtimes);
  }
  template <typename Failure>
  IntegrityReport verify_with(const Failure& failure) {
    InsideChecks inside;
    inside.tree = [&](const LayerRecord&) -> std::vector<std::string> { throw failure; };
    return verify_store(layout, no_progress(), CancelToken::process(), inside);
  }
};

TEST_F(MappedIntegrity, WhatNobodyCouldLookAtIsToldWithItsCauseAndWhatItAffects) {
  const IntegrityReport report = verify_with(Error(ErrorCode::Unsupported, "no namespaces", "allow them"));
  EXPECT_EQ(faults_of(report), "");
  ASSERT_EQ(report.unreadable.size(), 1U);
  EXPECT_EQ(report.unreadable.front().what, "tree " + sealed.hash.hex());
  EXPECT_EQ(report.unreadable.front().reason, "no namespaces");
  EXPECT_EQ(report.unreadable.front().fix, "allow them");
  EXPECT_EQ(report.unreadable.front().affects, me);
  EXPECT_EQ(report.trees_checked, 0U);
}

TEST_F(MappedIntegrity, DamageThatOnlyTheNamespaceSeesIsAFault) {
  const IntegrityReport report = verify_with(CorruptError("a tree", "a directory", "a file"));
  EXPECT_EQ(fault(report, "tree").affects, me);
  EXPECT_TRUE(report.unreadable.empty());
}

TEST_F(MappedIntegrity, AMachineThatLacksDescriptorsSaysNothingAboutTheStore) {
  EXPECT_EQ(code_of([&] { static_cast<void>(verify_with(SystemError(EMFILE, "open"))); }),
            ErrorCode::Unsupported);
}

TEST_F(Integrity, WhatIsInPlaceOfADirectoryOfTheStoreIsAFaultAndIsNotFollowed) {
  dir.make_dir("outside");
  for (const std::string& path : StoreLayout::directories()) {
    if (path == "store") continue;  // without it there is no store
    SCOPED_TRACE(path);
    rename_at(layout.root(), path, dir.fd(), "aside", Replace::No);
    symlink_at(dir.path() + "/outside", layout.root(), path);
    IntegrityReport report = verify();
    EXPECT_EQ(fault(report, "directory").hash, path);
    EXPECT_TRUE(fault(report, "directory").reason.contains("symbolic link"));
    EXPECT_EQ(report.checked, report.passed + report.failed.size());
    unlink_at(layout.root(), path);
    ASSERT_EQ(::mknodat(layout.root().get(), path.c_str(), S_IFIFO | 0600, 0), 0);
    report = verify();
    EXPECT_EQ(fault(report, "directory").reason, "it is not a directory");
    EXPECT_TRUE(fault(report, "directory").fix.contains(path));
    unlink_at(layout.root(), path);
    rename_at(dir.fd(), "aside", layout.root(), path, Replace::No);
  }
  EXPECT_EQ(faults_of(verify()), "");
}

TEST_F(Integrity, AMissingDirectoryIsAFaultAndNothingPasses) {
  remove_directory_at(layout.store(), "wal");
  const IntegrityReport report = verify();
  EXPECT_EQ(faults_of(report), "directory store/wal: it is missing\n");
  EXPECT_EQ(report.passed, 0U);
  EXPECT_EQ(report.unreadable.size(), 1U);
}

TEST_F(Integrity, EntriesThatWereSetAsideAreToldBecauseTheyHoldGc) {
  ensure_directory_at(layout.store(), "wal/corrupt");
  EXPECT_EQ(faults_of(verify()), "");
  overwrite("store/wal/corrupt/" + std::string(32, 'a') + ".json", "garbage");
  const IntegrityReport report = verify();
  EXPECT_EQ(fault(report, "wal").hash, "corrupt/" + std::string(32, 'a') + ".json");
  EXPECT_TRUE(fault(report, "wal").fix.contains("store/wal/corrupt"));
  remove_tree_at(layout.store(), "wal/corrupt");
  symlink_at("elsewhere", layout.store(), "wal/corrupt");
  EXPECT_EQ(fault(verify(), "directory").hash, "store/wal/corrupt");
}

TEST_F(Integrity, AStoreThatOthersMayReadOrChangeIsAFaultWithItsFix) {
  for (const mode_t mode : {0755U, 0740U, 0770U, 0702U}) {
    ASSERT_EQ(::fchmod(layout.root().get(), mode), 0);
    const IntegrityReport report = verify();
    EXPECT_EQ(fault(report, "directory").hash, ".");
    EXPECT_EQ(fault(report, "directory").fix, "chmod 700 " + layout.root_path());
  }
  // Whoever cannot come through the root cannot read what is in it.
  ASSERT_EQ(::fchmod(layout.root().get(), 0711), 0);
  ASSERT_EQ(::fchmodat(layout.store().get(), "names", 0755, 0), 0);
  EXPECT_EQ(faults_of(verify()), "");
  ASSERT_EQ(::fchmodat(layout.store().get(), "names", 0720, 0), 0);
  EXPECT_EQ(fault(verify(), "directory").fix, "chmod 700 " + layout.root_path() + "/store/names");
}

TEST_F(Integrity, LogAndStagingAreLookedAt) {
  overwrite("store/wal/" + std::string(32, 'a') + ".json", "garbage");
  ensure_directory_at(layout.staging(), std::string(32, 'b'));
  const IntegrityReport report = verify();
  EXPECT_EQ(fault(report, "wal").hash, std::string(32, 'a') + ".json");
  EXPECT_EQ(fault(report, "staging").hash, std::string(32, 'b'));
}

TEST_F(Integrity, RunningOperationIsNoFault) {
  Operation operation = Operation::begin(layout, OpKind::Build, record.env_id, {});
  EXPECT_TRUE(verify().failed.empty());
  operation.finish();
}

TEST_F(Integrity, PackageThatIsNoObjectIsAFault) {
  overwrite("store/packages/" + std::string(64, 'c'), "not an object");
  EXPECT_EQ(fault(verify(), "package").hash, std::string(64, 'c'));
}

TEST_F(Integrity, EverythingIsHealedByPuttingItAgain) {
  overwrite("store/layers/" + sealed.hash.hex(), "garbage");
  overwrite("store/objects/" + sealed.hash.hex(), "garbage");
  LayerRecord layer;
  layer.hash = sealed.hash;
  layer.ownership = "flat";
  layer.entries = sealed.entries;
  layer.bytes = sealed.bytes;
  LayerStore(layout).put(layer, sealed.index, sealed.mtimes);
  EXPECT_TRUE(verify().failed.empty());
}

TEST_F(Integrity, AnIndexOfAnImpossibleSizeIsDamagedWithoutReadingIt) {
  const ObjectStore objects(layout);
  const std::uint64_t limit = max_index_bytes(sealed.entries);
  EXPECT_EQ(stat_fd(objects.open_verified(sealed.hash, limit)).st_size,
            static_cast<off_t>(sealed.index.size()));
  const std::string path = dir.path() + "/" + store_path("store/objects/" + sealed.hash.hex());
  ASSERT_EQ(::truncate(path.c_str(), off_t{1} << 40), 0);
  EXPECT_EQ(code_of([&] { static_cast<void>(objects.open_verified(sealed.hash, limit)); }),
            ErrorCode::Corrupt);
}

TEST_F(Integrity, LayerRecordsAreCheckedWhenRead) {
  const LayerStore layers(layout);
  EXPECT_EQ(layers.load(sealed.hash).bytes, 12U);
  EXPECT_EQ(layers.list(), std::vector<Digest>{sealed.hash});
  EXPECT_TRUE(layers.is_laid_out(sealed.hash));
  EXPECT_FALSE(layers.find(hash_bytes("x")));
  EXPECT_EQ(code_of([&] { static_cast<void>(layers.load(hash_bytes("x"))); }), ErrorCode::NotFound);
  // Another layer's record under this name.
  const std::string good = dir.read(store_path("store/layers/" + sealed.hash.hex()));
  overwrite("store/layers/" + hash_bytes("x").hex(), good);
  EXPECT_EQ(code_of([&] { static_cast<void>(layers.load(hash_bytes("x"))); }), ErrorCode::Corrupt);
}

TEST_F(Integrity, WhatIsBuiltMeanwhileIsNoFault) {
  const auto build = [this](char digit) {
    return [this, digit] {
      const UniqueFd staging = layout.staging();
      ensure_directory_at(staging, "tree");
      write_all(open_beneath(staging, "tree/new", O_WRONLY | O_CREAT, 0644), std::string("new ") + digit);
      EnvRecord added = make_record(digit);
      added.base_layer = testing::publish_layer(layout, staging).hash.hex();
      added.dependency_layers.clear();
      added.manifest_hash = ObjectStore(layout).put(std::string("manifest ") + digit).hex();
      write_all(
          open_beneath(layout.open_dir("store/packages"), std::string(64, digit), O_WRONLY | O_CREAT, 0644),
          std::string("manifest ") + digit);
      put_built(added);
    };
  };
  // Between the list of objects, that of layers and that of records.
  for (const auto& [step, digit] : {std::pair{"layers", 'b'}, std::pair{"environments", 'c'}}) {
    Meanwhile other(step, build(digit));
    EXPECT_EQ(faults_of(verify_store(layout, other, CancelToken::process())), "") << step;
  }
  EXPECT_EQ(faults_of(verify()), "");
}

TEST_F(Integrity, WhatIsDestroyedOrRenamedMeanwhileIsNoFault) {
  MetadataStore metadata(layout);
  EnvRecord other = record;
  other.env_id = std::string(64, 'b');
  other.short_id = other.env_id.substr(0, 12);
  other.name = "other";
  put_built(other);
  const auto destroy = [&](const std::string& env_id) {
    metadata.remove(env_id);
    remove_tree_at(layout.environments(), env_id);
  };
  Meanwhile destroyer("environments", [&] { destroy(record.env_id); });
  EXPECT_EQ(faults_of(verify_store(layout, destroyer, CancelToken::process())), "");
  put_built(record);
  Meanwhile renamer("environments", [&] {
    other.name = "third";
    metadata.put(other);
    record.name = "other";
    metadata.put(record);
    destroy(other.env_id);
  });
  EXPECT_EQ(faults_of(verify_store(layout, renamer, CancelToken::process())), "");
  EXPECT_EQ(faults_of(verify()), "");
}

TEST_F(Integrity, ALayerThatACommitIsAboutToBringIsNotMissing) {
  const Digest coming = hash_bytes("an index that is not there yet");
  auto commit =
      Operation::begin(layout, OpKind::Commit, record.env_id, {{WalStep::Kind::FinishSwitch, record.env_id}});
  write_switch_plan(commit.staging(), {.env_id = record.env_id,
                                       .updated_at = record.updated_at,
                                       .snapshot = {},
                                       .layer = coming,
                                       .mtimes = hash_bytes("times"),
                                       .upper_inode = 1,
                                       .flat = true});
  record.snapshot_layers = {coming.hex()};
  MetadataStore(layout).put(record);
  EXPECT_EQ(faults_of(verify()), "");
  // Nobody is about to bring it.
  unlink_at(commit.staging(), "plan");
  EXPECT_NE(faults_of(verify()), "");
}

TEST_F(Integrity, ANameThatChangesHandsBelongsToBothForAMoment) {
  MetadataStore metadata(layout);
  EnvRecord other = record;
  other.env_id = std::string(64, 'b');
  other.short_id = other.env_id.substr(0, 12);
  other.name = "other";
  put_built(other);
  // As a build does it, half-way.
  other.name = record.name;
  const std::string record_with_name = read_file_at(layout.metadata(), record.env_id, 65536);
  auto build =
      Operation::begin(layout, OpKind::Build, other.env_id, {{WalStep::Kind::DropName, record.env_id}});
  metadata.put_taking_name(other, record.env_id);
  overwrite("store/metadata/" + record.env_id, record_with_name);
  EXPECT_EQ(faults_of(verify()), "");
  build.finish();
  EXPECT_NE(faults_of(verify()), "");
}

}  // namespace
}  // namespace karapace::store
