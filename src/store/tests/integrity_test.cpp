// SPDX-License-Identifier: Apache-2.0
#include "karapace/store/integrity.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "karapace/base/durable.hpp"
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
    MetadataStore(layout).put(record);
  }

  IntegrityReport verify() { return verify_store(layout, no_progress(), CancelToken::process()); }
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

TEST_F(Integrity, WholeStoreHasNoFaults) {
  const IntegrityReport report = verify();
  for (const IntegrityFault& bad : report.failed)
    ADD_FAILURE() << bad.kind << " " << bad.hash << " " << bad.reason;
  EXPECT_EQ(report.objects_checked, 5U);  // two files, index, times, manifest
  EXPECT_EQ(report.layers_checked, 1U);
  EXPECT_EQ(report.trees_checked, 1U);
  EXPECT_EQ(report.metadata_checked, 1U);
  EXPECT_EQ(report.checked, 7U);
  EXPECT_EQ(report.passed, 7U);
}

TEST_F(Integrity, DamagedObjectIsToldWithTheEnvironmentsThatNeedIt) {
  const std::string object = hash_bytes("content").hex();
  overwrite("store/objects/" + object, "Content");
  const IntegrityReport report = verify();
  EXPECT_EQ(fault(report, "object").hash, object);
  EXPECT_EQ(fault(report, "object").affects, me);
  EXPECT_EQ(fault(report, "layer").affects, me);
  EXPECT_EQ(report.checked, 7U);
  EXPECT_EQ(report.passed, 5U);
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

TEST_F(Integrity, RecordOfAMissingLayerIsAFault) {
  EnvRecord other = make_record('b');
  other.dependency_layers = {std::string(64, '9')};
  MetadataStore(layout).put(other);
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

}  // namespace
}  // namespace karapace::store
