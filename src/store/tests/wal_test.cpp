// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>
#include <unistd.h>

#include <set>

#include "karapace/store/wal.hpp"
#include "record_text.hpp"
#include "test_store.hpp"
#include "wal_entry.hpp"

namespace karapace::store {
namespace {

using testing::code_of;
using testing::make_record;

const std::string kEnv(64, 'e');

class Wal : public testing::StoreTest {
 protected:
  UniqueFd wal() { return layout.open_dir("store/wal"); }
  std::vector<std::string> names(FdRef fd) {
    std::vector<std::string> result;
    for (const DirectoryEntry& entry : list_directory(fd)) result.push_back(entry.name);
    return result;
  }
  /// Begins and dies: the lock is gone, the entry and what was staged stay.
  std::string begin_and_die(OpKind kind, std::vector<WalStep> steps) {
    const Operation operation = Operation::begin(layout, kind, kEnv, std::move(steps));
    write_all(open_beneath(operation.staging(), "half", O_WRONLY | O_CREAT), "half done");
    return operation.op_id();
  }
  void make_environment() { ensure_directory_at(layout.environments(), kEnv + "/upper"); }
  bool has_environment() { return exists_at(layout.environments(), kEnv); }
  void plant(const std::string& name, std::string_view content) {
    dir.write(store_path("store/wal/") + name, content);
  }
};

TEST_F(Wal, FinishedOperationLeavesNothing) {
  Operation operation =
      Operation::begin(layout, OpKind::Build, kEnv, {{WalStep::Kind::RemoveEnvironment, kEnv}});
  EXPECT_EQ(operation.staging_path(), "store/staging/" + operation.op_id());
  make_environment();
  operation.add_step({WalStep::Kind::FinishDestroy, std::string(64, 'f')});
  operation.finish();
  EXPECT_TRUE(names(wal()).empty());
  EXPECT_TRUE(names(layout.staging()).empty());
  EXPECT_TRUE(recover(layout).undone.empty());
  EXPECT_TRUE(has_environment());
}

TEST_F(Wal, EntryHasTheDocumentedBytes) {
  const WalEntry entry{
      std::string(32, '0'),
      OpKind::Build,
      kEnv,
      "2026-11-22T18:00:38.676282422+00:00",
      {{WalStep::Kind::RemoveStaging, std::string(32, '0')}, {WalStep::Kind::RemoveEnvironment, kEnv}}};
  const std::string text = make_wal_text(entry);
  EXPECT_TRUE(text.starts_with(
      "{\n  \"op_id\": \"00000000000000000000000000000000\",\n  \"kind\": \"Build\",\n  \"env_id\": \"" +
      kEnv +
      "\",\n  \"timestamp\": \"2026-11-22T18:00:38.676282422+00:00\",\n  \"rollback_steps\": [\n    "
      "{\n      \"RemoveStaging\": \"00000000000000000000000000000000\"\n    },\n    {\n      "
      "\"RemoveEnvironment\": \"" +
      kEnv + "\"\n    }\n  ],\n  \"checksum\": \""))
      << text;
  EXPECT_EQ(make_wal_text(parse_wal_text(text, entry.op_id)), text);
}

TEST_F(Wal, OperationIdsAreDifferent) {
  std::set<std::string> ids;
  for (int i = 0; i < 50; ++i) {
    Operation operation = Operation::begin(layout, OpKind::Gc, "", {});
    ids.insert(operation.op_id());
    operation.finish();
  }
  EXPECT_EQ(ids.size(), 50U);
}

TEST_F(Wal, DeadBuildIsUndoneWithItsEnvironmentAndStaging) {
  make_environment();
  const std::string id = begin_and_die(OpKind::Build, {{WalStep::Kind::RemoveEnvironment, kEnv}});
  EXPECT_EQ(recover(layout).undone, std::vector<std::string>{id});
  EXPECT_FALSE(has_environment());
  EXPECT_TRUE(names(wal()).empty());
  EXPECT_TRUE(names(layout.staging()).empty());
  EXPECT_TRUE(recover(layout).undone.empty());
}

TEST_F(Wal, EnvironmentWithARecordSurvivesTheUndoOfABuild) {
  make_environment();
  // Also a damaged one: it says that the environment is wanted.
  for (const bool damaged : {false, true}) {
    EnvRecord record = make_record('e');
    MetadataStore(layout).put(record);
    if (damaged) dir.write(store_path("store/metadata/" + kEnv), "damaged");
    begin_and_die(OpKind::Rebuild, {{WalStep::Kind::RemoveEnvironment, kEnv}});
    EXPECT_EQ(recover(layout).undone.size(), 1U);
    EXPECT_TRUE(has_environment());
  }
}

TEST_F(Wal, LivingOperationIsLeftAlone) {
  make_environment();
  Operation operation =
      Operation::begin(layout, OpKind::Build, kEnv, {{WalStep::Kind::RemoveEnvironment, kEnv}});
  for (int i = 0; i < 2; ++i) {
    const RecoveryReport report = recover(layout);
    EXPECT_EQ(report.still_alive, std::vector<std::string>{operation.op_id()});
    EXPECT_TRUE(report.undone.empty());
    EXPECT_TRUE(has_environment());
    EXPECT_TRUE(exists_at(layout.staging(), operation.op_id()));
    // The rewritten entry must be locked as well.
    operation.add_step({WalStep::Kind::FinishDestroy, kEnv});
  }
}

TEST_F(Wal, EnvironmentThatSomebodyHoldsIsLeftForTheNextTime) {
  make_environment();
  const std::string id = begin_and_die(OpKind::Build, {{WalStep::Kind::RemoveEnvironment, kEnv}});
  {
    const FileLock lock = layout.lock_environment(kEnv);
    EXPECT_TRUE(recover(layout).undone.empty());
    EXPECT_TRUE(has_environment());
  }
  EXPECT_EQ(recover(layout).undone, std::vector<std::string>{id});
  EXPECT_FALSE(has_environment());
}

TEST_F(Wal, FailedRemovalKeepsTheEntryForTheNextTime) {
  const std::string id = begin_and_die(OpKind::Build, {});
  const TreeRemover failing = [](const std::string&) { throw Error(ErrorCode::External, "no worker"); };
  EXPECT_TRUE(recover(layout, failing).undone.empty());
  EXPECT_TRUE(exists_at(layout.staging(), id));
  std::vector<std::string> removed;
  EXPECT_EQ(recover(layout,
                    [&](const std::string& path) {
                      removed.push_back(path);
                      remove_tree_at(layout.root(), path);
                    })
                .undone,
            std::vector<std::string>{id});
  EXPECT_EQ(removed, std::vector<std::string>{"store/staging/" + id});
}

TEST_F(Wal, DeadDestroyIsFinished) {
  make_environment();
  MetadataStore(layout).put(make_record('e', "dev"));
  begin_and_die(OpKind::Destroy, {{WalStep::Kind::FinishDestroy, kEnv}});
  EXPECT_EQ(recover(layout).undone.size(), 1U);
  EXPECT_FALSE(has_environment());
  EXPECT_FALSE(MetadataStore(layout).find(kEnv));
  EXPECT_FALSE(MetadataStore(layout).find_by_name("dev"));
}

TEST_F(Wal, ANameThatChangedHandsHalfWayIsTheNewOwnersAlone) {
  const EnvRecord old = make_record('e', "dev");
  MetadataStore(layout).put(old);
  begin_and_die(OpKind::Build, {{WalStep::Kind::DropName, kEnv}});
  EXPECT_EQ(recover(layout).undone.size(), 1U);
  EXPECT_EQ(MetadataStore(layout).find(kEnv), old) << "it had not begun";

  begin_and_die(OpKind::Build, {{WalStep::Kind::DropName, kEnv}});
  const EnvRecord now = make_record('f', "dev");
  MetadataStore(layout).put_taking_name(now, kEnv);
  MetadataStore(layout).put_taking_name(old, now.env_id);
  MetadataStore(layout).put_taking_name(now, kEnv);
  EXPECT_EQ(MetadataStore(layout).find_by_name("dev"), now);
  EXPECT_FALSE(MetadataStore(layout).find(kEnv)->name);
  // As if it had died before the last of these: both have it.
  const UniqueFd metadata = layout.metadata();
  unlink_at(metadata, now.env_id);
  MetadataStore(layout).put(old);
  const std::string text = read_file_at(metadata, kEnv, 4096);
  unlink_at(metadata, kEnv);
  MetadataStore(layout).put(now);
  write_all(open_beneath(metadata, kEnv, O_WRONLY | O_CREAT, 0600), text);
  EXPECT_EQ(recover(layout).undone.size(), 1U);
  EXPECT_EQ(MetadataStore(layout).find_by_name("dev"), now);
  EXPECT_FALSE(MetadataStore(layout).find(kEnv)->name);
}

TEST_F(Wal, EnvironmentBuiltAgainAfterItsDestroySurvivesTheOldEntry) {
  begin_and_die(OpKind::Destroy, {{WalStep::Kind::FinishDestroy, kEnv}});
  make_environment();
  EnvRecord record = make_record('e');
  record.updated_at = format_rfc3339(now() + std::chrono::seconds(1));
  MetadataStore(layout).put(record);
  EXPECT_EQ(recover(layout).undone.size(), 1U);
  EXPECT_TRUE(has_environment());
  EXPECT_TRUE(MetadataStore(layout).find(kEnv));
}

TEST_F(Wal, DestroyThatCannotRemoveTheDirectoryForgetsTheRecordOnlyOnce) {
  make_environment();
  MetadataStore(layout).put(make_record('e'));
  begin_and_die(OpKind::Destroy, {{WalStep::Kind::FinishDestroy, kEnv}});
  const TreeRemover failing = [&](const std::string& path) {
    if (path.starts_with("env/")) throw Error(ErrorCode::External, "no worker");
    remove_tree_at(layout.root(), path);
  };
  EXPECT_TRUE(recover(layout, failing).undone.empty());
  EXPECT_FALSE(MetadataStore(layout).find(kEnv));
  // Built anew meanwhile, with a clock that went back.
  MetadataStore(layout).put(make_record('e'));
  EXPECT_EQ(recover(layout).undone.size(), 1U);
  EXPECT_TRUE(has_environment());
  EXPECT_TRUE(MetadataStore(layout).find(kEnv));
}

TEST_F(Wal, StagingThatCannotBeRemovedDoesNotUndoAFinishedOperation) {
  make_environment();
  Operation operation =
      Operation::begin(layout, OpKind::Destroy, kEnv, {{WalStep::Kind::FinishDestroy, kEnv}});
  operation.finish([](const std::string&) { throw Error(ErrorCode::External, "no worker"); });
  const std::string id = operation.op_id();
  { const Operation gone = std::move(operation); }
  MetadataStore(layout).put(make_record('e'));
  EXPECT_EQ(recover(layout).undone, std::vector<std::string>{id});
  EXPECT_TRUE(has_environment());
  EXPECT_TRUE(MetadataStore(layout).find(kEnv));
  EXPECT_TRUE(names(layout.staging()).empty());
}

TEST_F(Wal, UndoNowTakesTheStepsBack) {
  make_environment();
  Operation operation =
      Operation::begin(layout, OpKind::Build, kEnv, {{WalStep::Kind::RemoveEnvironment, kEnv}});
  operation.undo_now();
  EXPECT_FALSE(has_environment());
  EXPECT_TRUE(names(wal()).empty());
  EXPECT_TRUE(names(layout.staging()).empty());
}

TEST_F(Wal, DamagedEntriesAreSetAsideAndNothingIsDone) {
  make_environment();
  const std::string id = begin_and_die(OpKind::Build, {{WalStep::Kind::RemoveEnvironment, kEnv}});
  const std::string good = dir.read(store_path("store/wal/" + id + ".json"));
  std::string bad = good;
  bad[bad.find("\"Build\"") + 2] ^= 1;
  plant(id + ".json", bad);
  plant("notes.txt", "not an entry");
  plant("20261122180038677-185d31f1.json", "{}");
  plant(std::string(32, 'a') + ".json", good);  // an entry under another name
  plant(std::string(32, 'b') + ".json", std::string(kMaxWalEntryBytes + 1, ' '));
  const RecoveryReport report = recover(layout);
  EXPECT_EQ(report.set_aside.size(), 5U);
  EXPECT_TRUE(report.undone.empty());
  EXPECT_TRUE(has_environment());
  EXPECT_EQ(names(wal()), std::vector<std::string>{"corrupt"});
  EXPECT_EQ(names(layout.open_dir("store/wal/corrupt")).size(), 5U);
  EXPECT_EQ(dir.read(store_path("store/wal/corrupt/" + id + ".json")), bad);
  // What they staged has no owner any more.
  EXPECT_TRUE(names(layout.staging()).empty());
  plant("notes.txt", "again");
  EXPECT_EQ(recover(layout).set_aside.size(), 1U);
  EXPECT_EQ(names(layout.open_dir("store/wal/corrupt")).size(), 6U);
}

TEST_F(Wal, ForgedEntryCanNameNothingOutside) {
  dir.make_dir("outside");
  const auto forge = [&](const std::string& id, const OrderedJson& step) {
    OrderedJson json;
    json["op_id"] = id;
    json["kind"] = "Build";
    json["env_id"] = "";
    json["timestamp"] = "2026-11-22T18:00:38+00:00";
    json["rollback_steps"] = OrderedJson::array({step});
    plant(id + ".json", make_record_text(json));
  };
  forge(std::string(32, '1'), {{"RemoveEnvironment", "../../outside"}});
  forge(std::string(32, '2'), {{"RemoveStaging", "../../../outside"}});
  forge(std::string(32, '3'), {{"RemoveDir", dir.path() + "/outside"}});
  forge(std::string(32, '4'), {{"RemoveStaging", std::string(32, '5')}});  // somebody else's
  ensure_directory_at(layout.staging(), std::string(32, '5'));
  const Operation living = Operation::begin(layout, OpKind::Build, kEnv, {});
  EXPECT_EQ(recover(layout).set_aside.size(), 4U);
  EXPECT_TRUE(exists_at(dir.fd(), "outside"));
  EXPECT_TRUE(exists_at(layout.staging(), living.op_id()));
}

TEST_F(Wal, PlantedLinksAndSpecialFilesAreSetAsideUnopened) {
  const std::string target = std::string(32, 'a') + ".json";
  dir.write("victim.json", "precious");
  symlink_at("../../../victim.json", wal(), target);
  ASSERT_EQ(::mkfifoat(wal().get(), (std::string(32, 'b') + ".json").c_str(), 0600), 0);
  ensure_directory_at(wal(), std::string(32, 'c') + ".json");
  EXPECT_EQ(recover(layout).set_aside.size(), 3U);
  EXPECT_EQ(dir.read("victim.json"), "precious");
  EXPECT_EQ(names(wal()), std::vector<std::string>{"corrupt"});
}

TEST_F(Wal, StagingWithoutAnEntryIsSweptUnlessTheStoreIsInUse) {
  ensure_directory_at(layout.staging(), std::string(32, 'a') + "/x");
  dir.write(store_path("store/staging/stray"), "x");
  {
    const FileLock lock = layout.lock_shared();
    recover(layout);
    EXPECT_EQ(names(layout.staging()).size(), 2U);
  }
  recover(layout);
  EXPECT_TRUE(names(layout.staging()).empty());
}

TEST_F(Wal, TemporariesOfDeadWritersAreDeletedAndOfLivingOnesNot) {
  plant(".tmp-dead", "half");
  const FileLock living =
      FileLock::acquire(open_beneath(wal(), ".tmp-living", O_RDWR | O_CREAT), LockMode::Exclusive);
  const RecoveryReport report = recover(layout);
  EXPECT_TRUE(report.set_aside.empty());
  EXPECT_EQ(names(wal()), std::vector<std::string>{".tmp-living"});
}

TEST_F(Wal, IdsAreCheckedWhenAnOperationBegins) {
  EXPECT_EQ(code_of([&] { static_cast<void>(Operation::begin(layout, OpKind::Build, "../x", {})); }),
            ErrorCode::InvalidInput);
  EXPECT_EQ(code_of([&] {
              static_cast<void>(
                  Operation::begin(layout, OpKind::Build, kEnv, {{WalStep::Kind::RemoveEnvironment, ""}}));
            }),
            ErrorCode::InvalidInput);
  EXPECT_TRUE(names(wal()).empty());
}

}  // namespace
}  // namespace karapace::store
