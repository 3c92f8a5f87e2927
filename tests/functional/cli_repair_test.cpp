// SPDX-License-Identifier: Apache-2.0
// A flipped bit anywhere in a store is found, named with what it affects, and healed where there is a source.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <string>

#include "cli_support.hpp"
#include "karapace/base/digest.hpp"
#include "karapace/base/file_at.hpp"

namespace karapace::test {
namespace {

namespace fs = std::filesystem;

std::string content_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// As a disk does it: nothing else about the file changes.
void flip_bit(const fs::path& path, std::uint32_t position, unsigned bit) {
  struct stat before {};
  ASSERT_EQ(::stat(path.c_str(), &before), 0);
  ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(position);
    const int byte = file.get();
    file.seekp(position);
    file.put(static_cast<char>(byte ^ (1 << bit)));
    ASSERT_TRUE(file.good()) << path;
  }
  ASSERT_EQ(::chmod(path.c_str(), before.st_mode & 07777), 0);
  const timespec times[] = {before.st_atim, before.st_mtim};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
}

class CliRepair : public CliTest {
 protected:
  void SetUp() override {
    dev_ = build_mock("dev", "'git'");
    ids_.insert(dev_);
    put("first", "only in the first snapshot");
    commit();
    put("second", "only in the second snapshot");
    fs::create_hard_link(upper() / "second", upper() / "second again");
    commit();
    fs::remove(project() + "/karapace.lock");
    write_mock_manifest("'curl', 'jq'", "other.toml");
    ids_.insert(karapace_json({"build", "other.toml", "--name", "other"}).at("env_id").get<std::string>());
    karapace_ok({"build", "--name", "dev"});
    karapace_ok({"gc"});
    EXPECT_EQ(karapace_json({"verify-store"}).at("failed"), 0);
  }

  [[nodiscard]] fs::path upper() const { return fs::path(store()) / "env" / dev_ / "upper"; }
  void put(const std::string& name, const std::string& content) {
    contents_.insert(hash_bytes(content).hex());
    std::ofstream(upper() / name) << content;
  }
  void commit() {
    snapshots_.insert(
        karapace_json({"commit", "dev", "-m", "message"}).at("snapshot_hash").get<std::string>());
  }

  /// Everything but what is in env/, which is the user's own.
  [[nodiscard]] std::vector<std::string> files() const {
    std::vector<std::string> found;
    for (const char* below : {"store", "trees"}) {
      for (const auto& entry : fs::recursive_directory_iterator(fs::path(store()) / below)) {
        if (entry.is_regular_file() && !entry.is_symlink() && entry.file_size() > 0)
          found.push_back(fs::relative(entry.path(), store()).string());
      }
    }
    std::ranges::sort(found);
    return found;
  }

  struct Expected {
    std::string kind;
    std::string hash;
    bool has_source = true;
  };
  /// What verify-store has to say about a damaged file.
  [[nodiscard]] Expected expect(const std::string& path) const {
    const std::string name = path.substr(path.rfind('/') + 1);
    if (path.starts_with("store/objects/")) {
      // The content of a hard-link group is not the inode of its tree.
      const bool once = contents_.contains(name) && fs::hard_link_count(fs::path(store()) / path) > 1;
      return {"object", name, !once};
    }
    if (path.starts_with("store/layers/")) return {"layer", name};
    if (path.starts_with("store/builds/")) return {"build", name};
    if (path.starts_with("store/names/")) return {"name", name};
    if (path.starts_with("store/metadata/")) return {"metadata", name, false};
    if (path.starts_with("store/snapshots/")) return {"snapshot", name, false};
    const fs::path file = fs::path(store()) / path;
    const std::string hash = hash_bytes(content_of(file)).hex();
    struct stat tree {
    }, object{};
    ::stat(file.c_str(), &tree);
    const fs::path object_path = fs::path(store()) / "store/objects" / hash;
    if (::stat(object_path.c_str(), &object) == 0 && object.st_ino == tree.st_ino)
      return {"object", hash, !contents_.contains(hash)};
    return {"tree", path.substr(6, 64)};
  }

  void expect_named(const Json& report, const Expected& expected) {
    const Json* found = nullptr;
    for (const Json& fault : report.at("failures")) {
      if (fault.at("kind") == expected.kind && fault.at("hash") == expected.hash) found = &fault;
    }
    ASSERT_NE(found, nullptr) << report.dump(2);
    const Json& affects = found->at("affects");
    if (expected.kind != "build") {
      EXPECT_FALSE(affects.empty()) << found->dump(2);
    }
    for (const Json& id : affects) EXPECT_TRUE(ids_.contains(id.get<std::string>()));
    const bool of_a_snapshot = expected.kind == "object" && contents_.contains(expected.hash);
    if (of_a_snapshot) {
      EXPECT_FALSE(found->at("snapshots").empty()) << found->dump(2);
    }
    for (const Json& id : found->at("snapshots")) EXPECT_TRUE(snapshots_.contains(id.get<std::string>()));
  }

  std::string dev_;
  std::set<std::string> ids_;
  std::set<std::string> snapshots_;
  std::set<std::string> contents_;  // digests of what only snapshots have
};

TEST_F(CliRepair, AFlippedBitAnywhereIsFoundNamedAndHealedIfThereIsASource) {
  const std::string saved = project() + "/saved";
  ASSERT_EQ(run_program("cp", {"-a", store(), saved}).status, 0);
  const std::vector<std::string> all = files();
  const int rounds = std::getenv("KARAPACE_EVERY_STEP") != nullptr ? 1000 : 40;
  std::set<std::string> kinds;
  for (int seed = 1; seed <= rounds && !HasFailure(); ++seed) {
    std::mt19937 random(static_cast<std::uint32_t>(seed));
    const auto pick = [&](std::size_t limit) { return static_cast<std::uint32_t>(random() % limit); };
    fs::remove_all(store());
    ASSERT_EQ(run_program("cp", {"-a", saved, store()}).status, 0);
    const std::string path = all.at(pick(all.size()));
    const fs::path file = fs::path(store()) / path;
    const std::string before = content_of(file);
    const std::uint32_t position = pick(before.size());
    const unsigned bit = pick(8);
    SCOPED_TRACE(fmt::format("seed {}: bit {} of byte {} of {}", seed, bit, position, path));
    if (path == "store/version") {
      flip_bit(file, position, bit);
      EXPECT_EQ(karapace({"verify-store"}).status, 3);
      continue;
    }
    Expected expected = expect(path);
    flip_bit(file, position, bit);
    kinds.insert(expected.kind);
    expect_named(karapace_json({"verify-store"}, 3), expected);
    // What is not about the damage goes on.
    EXPECT_EQ(karapace({"list"}).status, 0);
    if (expected.kind == "snapshot" && before[position] == '\n') expected.has_source = true;

    const Json repaired = karapace_json({"verify-store", "--repair"}, expected.has_source ? 0 : 3);
    if (!expected.has_source) {
      expect_named(repaired, expected);
      continue;
    }
    EXPECT_EQ(repaired.at("failed"), 0);
    EXPECT_FALSE(repaired.at("repaired").empty());
    if (expected.kind != "build") {
      EXPECT_EQ(content_of(file), before) << repaired.dump(2);
    }
  }
  EXPECT_GE(kinds.size(), 5U) << "the store of this test has become too small";
}

TEST_F(CliRepair, TheNewlineOfTheLastSnapshotIsMissedAndComesBack) {
  const fs::path file = fs::path(store()) / "store/snapshots" / dev_;
  const std::string before = content_of(file);
  flip_bit(file, static_cast<std::uint32_t>(before.size() - 1), 3);
  const Json report = karapace_json({"verify-store"}, 3);
  EXPECT_EQ(report.at("failures").at(0).at("kind"), "snapshot");
  EXPECT_EQ(karapace_json({"snapshots", dev_}).at("snapshots").size(), 2U) << "it is all there";
  EXPECT_EQ(karapace_json({"verify-store", "--repair"}).at("failed"), 0);
  EXPECT_EQ(content_of(file), before);
}

}  // namespace
}  // namespace karapace::test
