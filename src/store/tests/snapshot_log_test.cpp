// SPDX-License-Identifier: Apache-2.0
#include "karapace/store/snapshot_log.hpp"

#include <sys/stat.h>

#include <algorithm>

#include "../snapshot_line.hpp"
#include "karapace/base/digest.hpp"
#include "test_store.hpp"

namespace karapace::store {
namespace {

using testing::code_of;

const std::string kEnv(64, 'e');
const std::string kFile = "store-root/store/snapshots/" + kEnv;

SnapshotRecord make_snapshot(unsigned number, std::optional<std::string> parent = std::nullopt) {
  SnapshotRecord snapshot;
  snapshot.parent = std::move(parent);
  snapshot.layer = hash_bytes("layer " + std::to_string(number)).hex();
  snapshot.layers = {std::string(64, '1'), snapshot.layer};
  snapshot.message = "number " + std::to_string(number);
  snapshot.created_at = "2026-11-22T18:00:38.676282422+00:00";
  snapshot.entries = number;
  snapshot.bytes = 1000 + number;
  set_snapshot_id(snapshot);
  return snapshot;
}

class SnapshotLogTest : public testing::StoreTest {
 protected:
  SnapshotLog log{layout};
};

TEST_F(SnapshotLogTest, WhatWasAppendedIsReadBackInOrder) {
  const SnapshotRecord first = make_snapshot(1);
  SnapshotRecord second = make_snapshot(2, first.id);
  second.message = "quotes \" and \\, a\nnewline, and \xc3\xa9";
  second.kind = SnapshotKind::Safety;
  second.ownership = "mapped";
  set_snapshot_id(second);
  log.append(kEnv, {first});
  log.append(kEnv, {second});
  const SnapshotList list = log.read(kEnv);
  EXPECT_TRUE(list.bad.empty());
  EXPECT_EQ(list.snapshots, (std::vector{first, second}));
  EXPECT_EQ(log.environments(), std::vector{kEnv});
}

TEST_F(SnapshotLogTest, LineHasTheDocumentedBytes) {
  SnapshotRecord snapshot = make_snapshot(1);
  snapshot.layer = std::string(64, 'a');
  snapshot.layers = {std::string(64, '1'), std::string(64, 'a')};
  set_snapshot_id(snapshot);
  const std::string leading = "\"parent\":null,\"layer\":\"" + snapshot.layer + "\"";
  const std::string stack = "[\"" + std::string(64, '1') + "\",\"" + snapshot.layer + "\"]";
  const std::string trailing =
      "\"ownership\":\"flat\",\"kind\":\"commit\",\"message\":\"number 1\","
      "\"created_at\":\"2026-11-22T18:00:38.676282422+00:00\",\"entries\":1,\"bytes\":1001";
  const std::string id =
      hash_bytes("karapace snapshot v1\n" + leading + ",\"layers\":" + stack + "," + trailing).hex();
  const std::string body =
      "{\"id\":\"" + id + "\"," + leading + "," + trailing + ",\"stack\":\"" + hash_bytes(stack).hex() + "\"";
  EXPECT_EQ(make_snapshot_line(snapshot),
            body + ",\"checksum\":\"" + hash_bytes(body + "}").hex() + "\"}" + stack + "\n");
}

TEST_F(SnapshotLogTest, LineWithItsStackBeforeTheChecksumIsReadToo) {
  const SnapshotRecord snapshot = make_snapshot(1);
  const std::string body =
      "{\"id\":\"" + snapshot.id + "\",\"parent\":null,\"layer\":\"" + snapshot.layer + "\",\"layers\":[\"" +
      std::string(64, '1') + "\",\"" + snapshot.layer +
      "\"],\"ownership\":\"flat\",\"kind\":\"commit\",\"message\":\"number 1\",\"created_at\":\"" +
      snapshot.created_at + "\",\"entries\":1,\"bytes\":1001";
  dir.write(kFile, body + ",\"checksum\":\"" + hash_bytes(body + "}").hex() + "\"}\n");
  EXPECT_EQ(log.read(kEnv).snapshots, std::vector{snapshot});
  EXPECT_EQ(log.whole(kEnv, log.read(kEnv, Stacks::Skip), 0), snapshot);
  log.append(kEnv, {make_snapshot(2)});
  EXPECT_EQ(log.read(kEnv).snapshots, (std::vector{snapshot, make_snapshot(2)}));
}

TEST_F(SnapshotLogTest, DamagedStackIsSeenByWhoNeedsIt) {
  log.append(kEnv, {make_snapshot(1), make_snapshot(2)});
  std::string bad = dir.read(kFile);
  bad[bad.find("}[") + 5] = '2';
  dir.write(kFile, bad);
  EXPECT_EQ(log.read(kEnv, Stacks::Skip).snapshots.size(), 2U);
  EXPECT_EQ(log.read(kEnv).snapshots, std::vector{make_snapshot(2)});
  EXPECT_EQ(log.read(kEnv).bad.size(), 1U);
  const SnapshotList list = log.read(kEnv, Stacks::Skip);
  EXPECT_EQ(log.whole(kEnv, list, 1), make_snapshot(2));
  EXPECT_EQ(code_of([&] { static_cast<void>(log.whole(kEnv, list, 0)); }), ErrorCode::Corrupt);
}

TEST_F(SnapshotLogTest, SnapshotThatWasTakenBackMeanwhileIsNotFound) {
  log.append(kEnv, {make_snapshot(1), make_snapshot(2)});
  const SnapshotList list = log.read(kEnv, Stacks::Skip);
  log.drop_last(kEnv, make_snapshot(2).id);
  EXPECT_EQ(log.whole(kEnv, list, 0), make_snapshot(1));
  EXPECT_EQ(log.whole(kEnv, list, 1), std::nullopt);
  log.append(kEnv, {make_snapshot(3)});
  EXPECT_EQ(log.whole(kEnv, list, 1), std::nullopt);
  log.remove(kEnv);
  EXPECT_EQ(log.whole(kEnv, list, 0), std::nullopt);
}

TEST_F(SnapshotLogTest, LinesAcrossThePiecesOfAReadAreWhole) {
  std::vector<SnapshotRecord> all;
  for (unsigned i = 0; i < 300; ++i) {
    SnapshotRecord snapshot = make_snapshot(i);
    snapshot.message.assign(4096 - i, 'm');
    set_snapshot_id(snapshot);
    all.push_back(snapshot);
  }
  log.append(kEnv, all);
  EXPECT_EQ(log.read(kEnv).snapshots, all);
  EXPECT_EQ(log.whole(kEnv, log.read(kEnv, Stacks::Skip), all.size() - 1), all.back());
}

TEST_F(SnapshotLogTest, SnapshotsAreFoundByTheBeginningOfTheirIdWithoutALookAtOthers) {
  std::vector<SnapshotRecord> all;
  for (unsigned i = 0; i < 300; ++i) all.push_back(make_snapshot(i));
  log.append(kEnv, all);
  for (const SnapshotRecord& snapshot : all) {
    const SnapshotList found = log.with_id(kEnv, snapshot.id);
    ASSERT_EQ(found.snapshots.size(), 1U);
    EXPECT_EQ(log.whole(kEnv, found, 0), snapshot);
  }
  const auto like_the_first = std::ranges::count_if(
      all, [&](const SnapshotRecord& snapshot) { return snapshot.id.starts_with(all[0].id.substr(0, 1)); });
  EXPECT_EQ(std::ssize(log.with_id(kEnv, all[0].id.substr(0, 1)).snapshots), like_the_first);
  EXPECT_TRUE(log.with_id(kEnv, std::string(64, 'f')).snapshots.empty());
}

TEST_F(SnapshotLogTest, SnapshotBehindADamagedEndIsFoundByItsIdAndADamagedOneIsNot) {
  log.append(kEnv, {make_snapshot(1), make_snapshot(2), make_snapshot(3)});
  std::string bad = dir.read(kFile);
  bad[bad.find('\n')] = ' ';
  bad[bad.find("number 3")] = 'N';
  dir.write(kFile, bad);
  const SnapshotList second = log.with_id(kEnv, make_snapshot(2).id);
  ASSERT_EQ(second.snapshots.size(), 1U);
  EXPECT_EQ(second.places[0].number, 2U);
  EXPECT_EQ(log.whole(kEnv, second, 0), make_snapshot(2));
  EXPECT_EQ(log.with_id(kEnv, make_snapshot(1).id).snapshots.size(), 1U);
  EXPECT_TRUE(log.with_id(kEnv, make_snapshot(3).id).snapshots.empty());
}

TEST_F(SnapshotLogTest, DamagedEndsOfManyLinesAreMended) {
  std::vector<SnapshotRecord> all;
  for (unsigned i = 0; i < 300; ++i) all.push_back(make_snapshot(i));
  log.append(kEnv, all);
  const std::string good = dir.read(kFile);
  std::string bad = good;
  std::replace(bad.begin(), bad.end() - 1, '\n', ' ');
  dir.write(kFile, bad);
  EXPECT_EQ(log.read(kEnv).snapshots, all);
  EXPECT_EQ(log.read(kEnv).bad.size(), 299U);
  EXPECT_TRUE(log.mend(kEnv));
  EXPECT_EQ(dir.read(kFile), good);
}

TEST_F(SnapshotLogTest, EnvironmentWithoutSnapshotsHasNone) {
  EXPECT_TRUE(log.read(kEnv).snapshots.empty());
  log.remove(kEnv);
  log.drop_last(kEnv, std::string(64, '0'));
  EXPECT_TRUE(log.environments().empty());
}

TEST_F(SnapshotLogTest, StoreFromBeforeThereWereSnapshotsGetsItsDirectory) {
  remove_tree_at(layout.store(), "snapshots");
  EXPECT_TRUE(log.read(kEnv).snapshots.empty());
  log.append(kEnv, {make_snapshot(1)});
  EXPECT_EQ(log.read(kEnv).snapshots.size(), 1U);
}

TEST_F(SnapshotLogTest, TornLastLineIsIgnoredAndCutOffByTheNextAppend) {
  log.append(kEnv, {make_snapshot(1)});
  const std::string whole = dir.read(kFile);
  const std::string line = make_snapshot_line(make_snapshot(2));
  for (const std::size_t length : {std::size_t{1}, line.size() / 2, line.size() - 1}) {
    dir.write(kFile, whole + line.substr(0, length));
    EXPECT_EQ(log.read(kEnv).snapshots, std::vector{make_snapshot(1)});
    EXPECT_TRUE(log.read(kEnv).bad.empty());
    log.append(kEnv, {make_snapshot(3)});
    EXPECT_EQ(log.read(kEnv).snapshots, (std::vector{make_snapshot(1), make_snapshot(3)}));
    EXPECT_TRUE(log.read(kEnv).bad.empty());
  }
}

TEST_F(SnapshotLogTest, EveryChangedByteIsReportedAndTheOtherLinesStay) {
  log.append(kEnv, {make_snapshot(1), make_snapshot(2), make_snapshot(3)});
  const std::string good = dir.read(kFile);
  const std::size_t begin = good.find('\n') + 1;
  const std::size_t end = good.find('\n', begin);
  for (std::size_t at = begin; at < end; at += 7) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    if (bad[at] == '\n') continue;
    dir.write(kFile, bad);
    const SnapshotList list = log.read(kEnv);
    ASSERT_EQ(list.bad.size(), 1U) << at;
    EXPECT_EQ(list.snapshots, (std::vector{make_snapshot(1), make_snapshot(3)}));
    log.append(kEnv, {make_snapshot(4)});
    EXPECT_EQ(dir.read(kFile).substr(0, bad.size()), bad) << "damage is evidence";
  }
}

TEST_F(SnapshotLogTest, UnknownKeysAreIgnored) {
  const std::string line = make_snapshot_line(make_snapshot(1));
  std::string body = line.substr(0, line.rfind(",\"checksum\""));
  body += ",\"colour\":\"green\"";
  const std::string layers = line.substr(line.find("}[") + 1);
  dir.write(kFile, body + ",\"checksum\":\"" + hash_bytes(body + "}").hex() + "\"}" + layers);
  EXPECT_EQ(log.read(kEnv).snapshots, std::vector{make_snapshot(1)});
}

TEST_F(SnapshotLogTest, OnlyTheLastSnapshotCanBeTakenBack) {
  log.append(kEnv, {make_snapshot(1), make_snapshot(2)});
  log.drop_last(kEnv, make_snapshot(1).id);
  EXPECT_EQ(log.read(kEnv).snapshots.size(), 2U);
  log.drop_last(kEnv, make_snapshot(2).id);
  EXPECT_EQ(log.read(kEnv).snapshots, std::vector{make_snapshot(1)});
  log.drop_last(kEnv, make_snapshot(1).id);
  EXPECT_TRUE(log.read(kEnv).snapshots.empty());
}

TEST_F(SnapshotLogTest, WhatIsNoFileIsDamageAndNotAbsence) {
  make_directory_at(layout.open_dir("store/snapshots"), kEnv);
  EXPECT_EQ(code_of([&] { static_cast<void>(log.read(kEnv)); }), ErrorCode::Corrupt);
  remove_directory_at(layout.open_dir("store/snapshots"), kEnv);
  symlink_at("/etc/passwd", layout.open_dir("store/snapshots"), kEnv);
  EXPECT_EQ(code_of([&] { static_cast<void>(log.read(kEnv)); }), ErrorCode::Corrupt);
}

TEST_F(SnapshotLogTest, RecordsThatCouldNotBeReadBackAreRefused) {
  const auto refused = [&](auto change) {
    SnapshotRecord snapshot = make_snapshot(1);
    change(snapshot);
    return code_of([&] { set_snapshot_id(snapshot); }) == ErrorCode::InvalidInput;
  };
  EXPECT_TRUE(refused([](SnapshotRecord& snapshot) { snapshot.layer = "../x"; }));
  EXPECT_TRUE(refused([](SnapshotRecord& snapshot) { snapshot.layers.clear(); }));
  EXPECT_TRUE(refused([](SnapshotRecord& snapshot) { snapshot.layers.assign(502, std::string(64, '1')); }));
  EXPECT_TRUE(refused([](SnapshotRecord& snapshot) { snapshot.message = "\xff"; }));
  EXPECT_TRUE(refused([](SnapshotRecord& snapshot) { snapshot.message.assign(4097, 'x'); }));
  EXPECT_TRUE(refused([](SnapshotRecord& snapshot) { snapshot.parent = "short"; }));
  EXPECT_EQ(code_of([&] { static_cast<void>(log.read("../../etc/passwd")); }), ErrorCode::InvalidInput);
}

TEST(RecordsOfSnapshots, SurviveInTheEnvironmentsRecord) {
  const testing::TempDir dir;
  const StoreLayout layout = StoreLayout::open_or_create(dir.path() + "/s");
  EnvRecord record = testing::make_record('c');
  record.snapshot_layers = {std::string(64, '4'), std::string(64, '5')};
  record.head = std::string(64, '6');
  MetadataStore(layout).put(record);
  EXPECT_EQ(MetadataStore(layout).find(record.env_id), record);
  EXPECT_EQ(layer_stack(record), (std::vector{std::string(64, '2'), std::string(64, '3'),
                                              std::string(64, '4'), std::string(64, '5')}));
}

}  // namespace
}  // namespace karapace::store
