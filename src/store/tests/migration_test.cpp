// SPDX-License-Identifier: Apache-2.0
#include "karapace/store/migration.hpp"

#include <algorithm>

#include "karapace/base/digest.hpp"
#include "karapace/base/durable.hpp"
#include "karapace/store/object_store.hpp"
#include "test_store.hpp"

namespace karapace::store {
namespace {

using testing::code_of;

class Migration : public testing::StoreTest {
 protected:
  Migration() {
    object = ObjectStore(layout).put("an object of the old program").hex();
    replace_file(layout.store(), "version", "{\n  \"format_version\": 1\n}");
  }
  /// As the old program wrote it, without the members that format 1 may lack.
  static std::string old_record(char digit, const std::string& more = {}) {
    const std::string id(64, digit);
    return "{\n  \"env_id\": \"" + id + "\",\n  \"short_id\": \"" + id.substr(0, 12) +
           "\",\n  \"state\": \"Built\",\n  \"manifest_hash\": \"" + std::string(64, '1') +
           "\",\n  \"base_layer\": \"" + std::string(64, '2') +
           "\",\n  \"dependency_layers\": [],\n  \"created_at\": \"2025-01-01T00:00:00Z\",\n"
           "  \"updated_at\": \"2025-01-02T00:00:00Z\",\n  \"ref_count\": 3" +
           more + "\n}";
  }
  void put(const std::string& name, const std::string& text) { replace_file(layout.metadata(), name, text); }
  MigrationReport migrate() {
    return migrate_store(dir.path() + "/store-root", no_progress(), CancelToken::process());
  }
  std::string version() { return read_file_at(layout.store(), "version", 4096); }

  std::string object;
};

TEST_F(Migration, KeepsEveryFieldAndBacksUpWhatItChanges) {
  put(std::string(64, 'a'), old_record('a'));
  put(std::string(64, 'b'), old_record('b', ",\n  \"name\": \"dev\",\n  \"checksum\": null"));
  const MigrationReport report = migrate();
  EXPECT_EQ(report.status, MigrationStatus::Migrated);
  EXPECT_EQ(report.found, 1U);
  EXPECT_EQ(report.environments, 2U);
  EXPECT_TRUE(report.skipped.empty());
  const StoreLayout migrated = StoreLayout::open_or_create(dir.path() + "/store-root");
  const RecordList list = MetadataStore(migrated).list();
  ASSERT_EQ(list.records.size(), 2U);
  EXPECT_TRUE(list.bad.empty());
  EXPECT_EQ(list.records[0].base_layer, std::string(64, '2'));
  EXPECT_EQ(list.records[0].updated_at, "2025-01-02T00:00:00Z");
  EXPECT_EQ(list.records[0].ref_count, 3U);
  EXPECT_EQ(MetadataStore(migrated).find_by_name("dev")->env_id, std::string(64, 'b'));
  EXPECT_TRUE(ObjectStore(migrated).find(Digest::parse(object)));
  EXPECT_EQ(dir.read(store_path(report.backup)), "{\n  \"format_version\": 1\n}");
  EXPECT_EQ(dir.read(store_path(report.record_backup) + "/metadata/" + std::string(64, 'a')),
            old_record('a'));
}

TEST_F(Migration, ASecondRunHasNothingToDo) {
  put(std::string(64, 'a'), old_record('a'));
  migrate();
  const auto count = list_directory(layout.store()).size();
  EXPECT_EQ(migrate().status, MigrationStatus::Current);
  EXPECT_EQ(list_directory(layout.store()).size(), count);
}

TEST_F(Migration, NewerUnknownAndUnreadableVersionsChangeNothing) {
  put(std::string(64, 'a'), old_record('a'));
  for (const std::string text : {"{\"format_version\": 99}", "{\"format_version\": 0}", "garbage", "",
                                 "{\"format_version\": \"1\"}", "{\"format_version\": -1}"}) {
    SCOPED_TRACE(text);
    replace_file(layout.store(), "version", text);
    if (text.find("99") != std::string::npos) {
      EXPECT_EQ(migrate().status, MigrationStatus::Newer);
    } else {
      EXPECT_EQ(code_of([&] { migrate(); }), ErrorCode::Corrupt);
    }
    EXPECT_EQ(version(), text);
    EXPECT_EQ(read_file_at(layout.metadata(), std::string(64, 'a'), 10000), old_record('a'));
  }
  unlink_at(layout.store(), "version");
  EXPECT_EQ(code_of([&] { migrate(); }), ErrorCode::NotFound);
  symlink_at(dir.path() + "/elsewhere", layout.store(), "version");
  EXPECT_NE(code_of([&] { migrate(); }), ErrorCode::Internal);
  EXPECT_EQ(migrate_store(dir.path() + "/nothing", no_progress(), CancelToken::process()).status,
            MigrationStatus::NoStore);
}

TEST_F(Migration, WhatIsNoRecordStaysAndIsNamed) {
  put(std::string(64, 'a'), old_record('a'));
  put(std::string(64, 'b'), "garbage");
  put(std::string(64, 'c'), "[]");
  put(std::string(64, 'd'), old_record('e'));  // of another environment
  put(std::string(64, 'f'), old_record('f', ",\n  \"checksum\": \"" + std::string(64, '0') + "\""));
  put("short", old_record('a'));
  dir.write("outside", old_record('9'));
  symlink_at(dir.path() + "/outside", layout.metadata(), std::string(64, '9'));
  const MigrationReport report = migrate();
  EXPECT_EQ(report.environments, 1U);
  EXPECT_EQ(report.skipped.size(), 6U);
  EXPECT_EQ(read_file_at(layout.metadata(), std::string(64, 'b'), 10000), "garbage");
  EXPECT_EQ(dir.read("outside"), old_record('9'));
  EXPECT_EQ(MetadataStore(layout).list().bad.size(), 6U) << "they are told from now on, too";
}

TEST_F(Migration, AChecksumOfTheOldProgramIsChecked) {
  // Its checksum is over the values, so layout of the text does not matter.
  const std::string id(64, 'a');
  const std::string complete =
      "{\n  \"env_id\": \"" + id + "\",\n  \"short_id\": \"" + id.substr(0, 12) +
      "\",\n  \"name\": null,\n  \"state\": \"Frozen\",\n  \"manifest_hash\": \"\",\n"
      "  \"base_layer\": \"\",\n  \"dependency_layers\": [],\n  \"policy_layer\": null,\n"
      "  \"created_at\": \"x\",\n  \"updated_at\": \"y\",\n  \"ref_count\": 1\n}";
  std::string compact = complete;
  std::erase(compact, '\n');
  compact.insert(compact.size() - 1, ",\"checksum\":\"" + hash_bytes(complete).hex() + "\"");
  put(id, compact);
  EXPECT_EQ(migrate().environments, 1U);
  EXPECT_EQ(MetadataStore(layout).find(id)->state, EnvState::Frozen);
}

TEST_F(Migration, ANameThatTwoHaveStaysWithTheFirst) {
  put(std::string(64, 'a'), old_record('a', ",\n  \"name\": \"dev\""));
  put(std::string(64, 'b'), old_record('b', ",\n  \"name\": \"dev\""));
  const MigrationReport report = migrate();
  EXPECT_EQ(report.unnamed, std::vector<std::string>{std::string(64, 'b')});
  EXPECT_EQ(MetadataStore(layout).find_by_name("dev")->env_id, std::string(64, 'a'));
}

TEST_F(Migration, EntriesOfTheOldLogAreNeverActedUpon) {
  dir.make_dir("precious");
  const std::string entry =
      "{\"op_id\":\"x\",\"kind\":\"Build\",\"env_id\":\"e\",\"timestamp\":\"t\","
      "\"rollback_steps\":[{\"RemoveDir\":\"" +
      dir.path() + "/precious\"}]}";
  replace_file(layout.open_dir("store/wal"), "20261122180038677-185d31f1.json", entry);
  const MigrationReport report = migrate();
  EXPECT_EQ(report.operations, 1U);
  EXPECT_TRUE(list_directory(layout.open_dir("store/wal")).empty());
  EXPECT_EQ(dir.read(store_path(report.record_backup) + "/wal/20261122180038677-185d31f1.json"), entry);
  EXPECT_TRUE(exists_at(dir.fd(), "precious"));
}

}  // namespace
}  // namespace karapace::store
