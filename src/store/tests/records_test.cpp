// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "karapace/base/durable.hpp"
#include "karapace/store/object_store.hpp"
#include "record_text.hpp"
#include "test_store.hpp"

namespace karapace::store {
namespace {

using testing::code_of;
using testing::make_record;

class Metadata : public testing::StoreTest {
 protected:
  std::string file_of(const EnvRecord& record) { return store_path("store/metadata/" + record.env_id); }
};

TEST(RecordText, ChecksumIsThatOfTheDocumentedExample) {
  OrderedJson json;
  json["env_id"] = "abc123def456";
  json["short_id"] = "abc123def456";
  json["name"] = "my-env";
  json["state"] = "Defined";
  json["manifest_hash"] = "mhash";
  json["base_layer"] = "base1";
  json["dependency_layers"] = {"dep1"};
  json["policy_layer"] = nullptr;
  json["created_at"] = "2025-01-01T00:00:00Z";
  json["updated_at"] = "2025-01-01T00:00:00Z";
  json["ref_count"] = 1;
  const std::string text = make_record_text(json);
  EXPECT_TRUE(
      text.ends_with("  \"ref_count\": 1,\n  \"checksum\": "
                     "\"dcc9ff0c45adc0c2cbb004f68d25a528fd8eab2b45b4a14ee70780f9b4ba0f3b\"\n}"));
  EXPECT_EQ(parse_record_text(text, "it").at("name"), "my-env");
}

TEST_F(Metadata, RecordComesBackAsItWasPut) {
  MetadataStore store(layout);
  EnvRecord record = make_record('a', "my-env");
  record.policy_layer = std::string(64, '4');
  record.lock_hash = std::string(64, '5');
  record.manifest_path = "/home/me/karapace.toml";
  record.state = EnvState::Frozen;
  store.put(record);
  EXPECT_EQ(store.find(record.env_id), record);
  EXPECT_EQ(store.find(std::string(64, 'b')), std::nullopt);
  // Documented keys first, ours behind them, the checksum last.
  const std::string text = dir.read(file_of(record));
  std::size_t last = 0;
  for (const char* key : {"env_id", "short_id", "name", "state", "manifest_hash", "base_layer",
                          "dependency_layers", "policy_layer", "created_at", "updated_at", "ref_count",
                          "ownership", "lock_hash", "manifest_path", "checksum"}) {
    const std::size_t at = text.find(std::string("\n  \"") + key + "\": ");
    ASSERT_NE(at, std::string::npos) << key;
    EXPECT_GE(at, last) << key;
    last = at;
  }
}

TEST_F(Metadata, OnlyTheRecordOfWhatWasFrozenSaysSo) {
  MetadataStore store(layout);
  EnvRecord record = make_record('a', "my-env");
  record.state = EnvState::Archived;
  store.put(record);
  EXPECT_EQ(dir.read(file_of(record)).find("archived_frozen"), std::string::npos);
  EXPECT_EQ(store.find(record.env_id), record);
  record.archived_frozen = true;
  store.put(record);
  EXPECT_EQ(store.find(record.env_id), record);
}

TEST_F(Metadata, EveryFlippedByteIsNoticed) {
  MetadataStore store(layout);
  const EnvRecord record = make_record('a', "my-env");
  store.put(record);
  const std::string good = dir.read(file_of(record));
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    dir.write(file_of(record), bad);
    EXPECT_THROW(static_cast<void>(store.find(record.env_id)), CorruptError) << "byte " << i;
  }
}

TEST_F(Metadata, RecordWithoutChecksumIsCorrupt) {
  MetadataStore store(layout);
  const EnvRecord record = make_record('a');
  store.put(record);
  std::string text = dir.read(file_of(record));
  text = text.substr(0, text.find(",\n  \"checksum\"")) + "\n}";
  dir.write(file_of(record), text);
  EXPECT_THROW(static_cast<void>(store.find(record.env_id)), CorruptError);
  const RecordList list = store.list();
  EXPECT_TRUE(list.records.empty());
  ASSERT_EQ(list.bad.size(), 1U);
  EXPECT_EQ(list.bad[0].file, record.env_id);
}

TEST_F(Metadata, CopiedRecordDoesNotAnswerForAnotherEnvironment) {
  MetadataStore store(layout);
  const EnvRecord record = make_record('a');
  store.put(record);
  dir.write(store_path("store/metadata/" + std::string(64, 'b')), dir.read(file_of(record)));
  EXPECT_THROW(static_cast<void>(store.find(std::string(64, 'b'))), CorruptError);
}

TEST_F(Metadata, RecordWithAPathInsteadOfADigestIsCorruptAlthoughItsChecksumIsRight) {
  MetadataStore store(layout);
  const EnvRecord record = make_record('a');
  for (const char* key :
       {"base_layer", "manifest_hash", "lock_hash", "policy_layer", "env_id", "short_id", "name"}) {
    store.put(record);
    const std::string text = dir.read(file_of(record));
    OrderedJson json = OrderedJson::parse(text);
    json.erase("checksum");
    json[key] = "../../../../etc";
    dir.write(file_of(record), make_record_text(json));
    EXPECT_THROW(static_cast<void>(store.find(record.env_id)), CorruptError) << key;
  }
}

TEST_F(Metadata, IdsFromOutsideAreCheckedBeforeTheyAreNames) {
  MetadataStore store(layout);
  for (const char* id : {"", ".", "../x", "abc", "/etc/passwd"}) {
    EXPECT_EQ(code_of([&] { static_cast<void>(store.find(id)); }), ErrorCode::InvalidInput);
    EXPECT_EQ(code_of([&] { store.remove(id); }), ErrorCode::InvalidInput);
    EXPECT_EQ(code_of([&] { static_cast<void>(layout.lock_environment(id)); }), ErrorCode::InvalidInput);
  }
  EnvRecord record = make_record('a');
  record.base_layer = "../../x";
  EXPECT_EQ(code_of([&] { store.put(record); }), ErrorCode::InvalidInput);
}

TEST_F(Metadata, WhatIsNoRecordIsListedAsBadAndTemporariesAreNot) {
  MetadataStore store(layout);
  store.put(make_record('a'));
  const std::string metadata = store_path("store/metadata/");
  dir.write(metadata + "notes.txt", "x");
  dir.write(metadata + ".tmp-123", "x");
  dir.write(metadata + std::string(64, 'c'), "garbage");
  ASSERT_EQ(::mkfifoat(layout.metadata().get(), std::string(64, 'd').c_str(), 0600), 0);
  symlink_at("/etc/passwd", layout.metadata(), std::string(64, 'e'));
  const RecordList list = store.list();
  EXPECT_EQ(list.records.size(), 1U);
  std::vector<std::string> bad;
  for (const BadRecord& record : list.bad) bad.push_back(record.file);
  EXPECT_EQ(bad, (std::vector<std::string>{std::string(64, 'c'), std::string(64, 'd'), std::string(64, 'e'),
                                           "notes.txt"}));
}

TEST_F(Metadata, LongListIsCompleteAndInOrder) {
  MetadataStore store(layout);
  const EnvRecord record = make_record('a');
  store.put(record);
  OrderedJson json = OrderedJson::parse(dir.read(file_of(record)));
  json.erase("checksum");
  for (int i = 0; i < 500; ++i) {
    const std::string id = hash_bytes(std::to_string(i)).hex();
    json["env_id"] = id;
    json["short_id"] = id.substr(0, 12);
    dir.write(store_path("store/metadata/" + id), i % 100 == 0 ? "damaged" : make_record_text(json));
  }
  const RecordList list = store.list();
  EXPECT_EQ(list.records.size(), 496U);
  EXPECT_TRUE(std::ranges::is_sorted(list.records, {}, &EnvRecord::env_id));
  EXPECT_EQ(list.bad.size(), 5U);
  EXPECT_TRUE(std::ranges::is_sorted(list.bad, {}, &BadRecord::file));
}

TEST_F(Metadata, NameBelongsToOneEnvironment) {
  MetadataStore store(layout);
  store.put(make_record('a', "dev"));
  EXPECT_EQ(code_of([&] { store.put(make_record('b', "dev")); }), ErrorCode::Conflict);
  EXPECT_EQ(store.find(std::string(64, 'b')), std::nullopt);
  store.put(make_record('a', "other"));
  store.put(make_record('b', "dev"));
  EXPECT_EQ(store.find_by_name("dev")->env_id, std::string(64, 'b'));
  EXPECT_EQ(store.find_by_name("other")->env_id, std::string(64, 'a'));
  store.remove(std::string(64, 'b'));
  EXPECT_EQ(store.find_by_name("dev"), std::nullopt);
  EXPECT_FALSE(exists_at(layout.open_dir("store/names"), "dev"));
}

TEST_F(Metadata, NameIsFoundWithoutAndAgainstTheIndex) {
  MetadataStore store(layout);
  store.put(make_record('a', "dev"));
  store.put(make_record('b'));
  unlink_at(layout.open_dir("store/names"), "dev");
  EXPECT_EQ(store.find_by_name("dev")->env_id, std::string(64, 'a'));
  for (const std::string& lie :
       {std::string(64, 'b'), std::string(64, 'f'), std::string("../x"), std::string(1000, 'a')}) {
    dir.write(store_path("store/names/dev"), lie);
    ASSERT_TRUE(store.find_by_name("dev")) << lie;
    EXPECT_EQ(store.find_by_name("dev")->env_id, std::string(64, 'a'));
  }
}

TEST_F(Metadata, NamesThatCouldBeMistakenAreRefused) {
  for (const char* name : {"a", "A-b_9", "-"}) EXPECT_NO_THROW(check_env_name(name));
  for (const std::string& name : {std::string(), std::string(65, 'a'), std::string(64, 'a'),
                                  std::string("1f97cd36753b"), std::string("a.b"), std::string("a/b"),
                                  std::string(".."), std::string("a b"), std::string("\xc3\xa9")}) {
    EXPECT_EQ(code_of([&] { check_env_name(name); }), ErrorCode::InvalidInput) << name;
  }
  EXPECT_NO_THROW(check_env_name(std::string(64, 'z')));
  // Only what is printed as a short id: twelve digits of it.
  for (const char* name : {"cafe", "1f97cd36753", "1f97cd36753bb", "1F97CD36753B", "1f97cd36753g"})
    EXPECT_NO_THROW(check_env_name(name)) << name;
}

TEST_F(Metadata, ARecordThatAlreadyHasANameLikeAShortIdIsRead) {
  MetadataStore store(layout);
  const EnvRecord record = make_record('a', "1f97cd36753b");
  store.put(record);
  EXPECT_EQ(store.find(record.env_id), record);
  EXPECT_TRUE(store.list().bad.empty());
}

TEST_F(Metadata, DamagedRecordIsReplacedByAGoodOneAndCanBeRemoved) {
  MetadataStore store(layout);
  const EnvRecord record = make_record('a', "dev");
  store.put(record);
  dir.write(file_of(record), "damaged");
  store.put(record);
  EXPECT_EQ(store.find(record.env_id), record);
  dir.write(file_of(record), "damaged");
  store.remove(record.env_id);
  EXPECT_EQ(store.find(record.env_id), std::nullopt);
  EXPECT_FALSE(exists_at(layout.open_dir("store/names"), "dev"));
}

TEST_F(Metadata, PrefixFindsIdsByNameOnly) {
  MetadataStore store(layout);
  store.put(make_record('a'));
  store.put(make_record('b'));
  EXPECT_EQ(store.ids_with_prefix("aaaa"), std::vector<std::string>{std::string(64, 'a')});
  EXPECT_TRUE(store.ids_with_prefix("cccc").empty());
  EXPECT_EQ(store.ids_with_prefix("").size(), 2U);
}

TEST_F(Metadata, PathThatIsNotUtf8IsKeptReadable) {
  MetadataStore store(layout);
  EnvRecord record = make_record('a');
  record.manifest_path = "/home/\xff/karapace.toml";
  store.put(record);
  EXPECT_NE(store.find(record.env_id)->manifest_path.find("karapace.toml"), std::string::npos);
}

class Objects : public testing::StoreTest {};

TEST_F(Objects, PutReturnsTheDigestAndKeepsTheFirstFile) {
  ObjectStore objects(layout);
  const Digest digest = objects.put("content");
  EXPECT_EQ(digest, hash_bytes("content"));
  const ino_t first = stat_at(layout.objects(), digest.hex()).value().st_ino;
  EXPECT_EQ(objects.put("content"), digest);
  EXPECT_EQ(stat_at(layout.objects(), digest.hex()).value().st_ino, first);
  EXPECT_EQ(objects.load(digest), "content");
  EXPECT_EQ(objects.list(), std::vector<Digest>{digest});
}

TEST_F(Objects, CorruptObjectIsReportedAndHealedByPut) {
  ObjectStore objects(layout);
  const Digest digest = objects.put("content");
  for (const char* bad : {"Content", "content that is longer", ""}) {
    unlink_at(layout.objects(), digest.hex());
    dir.write(store_path("store/objects/" + digest.hex()), bad);
    EXPECT_THROW(static_cast<void>(objects.find(digest)), CorruptError);
    objects.put("content");
    EXPECT_EQ(objects.load(digest), "content");
  }
}

TEST_F(Objects, SymlinkOrFifoInPlaceOfAnObjectIsNotFollowedAndHealed) {
  ObjectStore objects(layout);
  const Digest digest = hash_bytes("content");
  dir.write("elsewhere", "content");
  symlink_at("../../../elsewhere", layout.objects(), digest.hex());
  EXPECT_ANY_THROW(static_cast<void>(objects.find(digest)));
  objects.put("content");
  EXPECT_EQ(objects.load(digest), "content");
  unlink_at(layout.objects(), digest.hex());
  ASSERT_EQ(::mkfifoat(layout.objects().get(), digest.hex().c_str(), 0600), 0);
  EXPECT_ANY_THROW(static_cast<void>(objects.find(digest)));
  objects.put("content");
  EXPECT_EQ(objects.load(digest), "content");
  EXPECT_EQ(dir.read("elsewhere"), "content");
}

TEST_F(Objects, LimitsAndAbsenceAreAnswers) {
  ObjectStore objects(layout);
  const Digest digest = objects.put(std::string(1000, 'x'));
  EXPECT_EQ(code_of([&] { static_cast<void>(objects.find(digest, 999)); }), ErrorCode::InvalidInput);
  EXPECT_EQ(objects.find(hash_bytes("other")), std::nullopt);
  EXPECT_EQ(code_of([&] { static_cast<void>(objects.load(hash_bytes("other"))); }), ErrorCode::NotFound);
  EXPECT_EQ(code_of([&] { static_cast<void>(objects.open(hash_bytes("other"))); }), ErrorCode::NotFound);
}

class Packages : public testing::StoreTest {
 protected:
  std::string add_download(char digit, std::string_view content) {
    const std::string sha256(64, digit);
    dir.write(store_path("store/downloads/" + sha256 + ".part"), content);
    return sha256;
  }
};

TEST_F(Packages, AdoptedDownloadsAreObjectsWithASecondName) {
  PackageStore packages(layout);
  const std::string a = add_download('a', "deb a");
  const std::string b = add_download('b', "deb b");
  packages.adopt_downloads({a, b});
  EXPECT_TRUE(packages.contains(a));
  EXPECT_EQ(ObjectStore(layout).load(hash_bytes("deb a")), "deb a");
  EXPECT_EQ(stat_at(layout.open_dir("store/packages"), a)->st_ino,
            stat_at(layout.objects(), hash_bytes("deb a").hex())->st_ino);
  EXPECT_TRUE(list_directory(layout.open_dir("store/downloads")).empty());
  EXPECT_EQ(read_all(*packages.open(b), 100), "deb b");
  packages.link_into(a, dir.fd(), "a.deb");
  EXPECT_EQ(dir.read("a.deb"), "deb a");
  EXPECT_EQ(code_of([&] { packages.link_into(a, dir.fd(), "a.deb"); }), ErrorCode::AlreadyExists);
}

TEST_F(Packages, AdoptingAgainOrWhatIsAlreadyAnObjectIsFine) {
  PackageStore packages(layout);
  ObjectStore(layout).put("deb");
  const std::string a = add_download('a', "deb");
  packages.adopt_downloads({a});
  packages.adopt_downloads({a});
  add_download('a', "deb");
  packages.adopt_downloads({a});
  EXPECT_EQ(read_all(*packages.open(a), 100), "deb");
  EXPECT_EQ(list_directory(layout.open_dir("store/packages")).size(), 1U);
  EXPECT_TRUE(list_directory(layout.open_dir("store/downloads")).empty());
}

TEST_F(Packages, CorruptObjectIsHealedByTheDownload) {
  PackageStore packages(layout);
  dir.write(store_path("store/objects/" + hash_bytes("deb").hex()), "bad");
  packages.adopt_downloads({add_download('a', "deb")});
  EXPECT_EQ(ObjectStore(layout).load(hash_bytes("deb")), "deb");
}

TEST_F(Packages, NamesThatAreNoDigestsAndMissingDownloadsAreRefused) {
  PackageStore packages(layout);
  EXPECT_EQ(code_of([&] { packages.adopt_downloads({"../../x"}); }), ErrorCode::InvalidInput);
  EXPECT_EQ(code_of([&] { static_cast<void>(packages.open("..")); }), ErrorCode::InvalidInput);
  EXPECT_EQ(code_of([&] { packages.adopt_downloads({std::string(64, 'a')}); }), ErrorCode::NotFound);
  EXPECT_EQ(code_of([&] { packages.link_into(std::string(64, 'a'), dir.fd(), "x"); }), ErrorCode::NotFound);
}

class Builds : public testing::StoreTest {};

TEST_F(Builds, LayerIsFoundByItsKeyAndDamageCountsAsAbsent) {
  BuildCache cache(layout);
  const Digest key = hash_bytes("key");
  EXPECT_EQ(cache.find(key), std::nullopt);
  cache.put(key, hash_bytes("layer"));
  EXPECT_EQ(cache.find(key), hash_bytes("layer"));
  const std::string builds = store_path("store/builds/");
  const std::string good = dir.read(builds + key.hex());
  // A record under another key says nothing about that key.
  dir.write(builds + hash_bytes("other").hex(), good);
  EXPECT_EQ(cache.find(hash_bytes("other")), std::nullopt);
  std::string bad = good;
  bad[bad.size() / 2] ^= 1;
  dir.write(builds + key.hex(), bad);
  EXPECT_EQ(cache.find(key), std::nullopt);
}

}  // namespace
}  // namespace karapace::store
