// SPDX-License-Identifier: Apache-2.0
// A damaged or hostile store: told precisely, never followed, healed where there is a source, and other
// environments go on working.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "cli_support.hpp"
#include "karapace/base/digest.hpp"

namespace karapace::test {
namespace {

namespace fs = std::filesystem;

class CliHostileStore : public CliTest {
 protected:
  CliHostileStore() {
    victim = build_mock("victim", "'git'");
    fs::remove(project() + "/karapace.lock");
    build_mock("other", "'curl'");
    const Json record = karapace_json({"inspect", "victim"});
    base = record.at("base_layer").get<std::string>();
    layer = record.at("dependency_layers").at(0).get<std::string>();
    fs::create_directory(outside());
    std::ofstream(outside() + "/file") << "precious";
  }
  [[nodiscard]] std::string outside() const { return project() + "/outside"; }
  [[nodiscard]] std::string path(const std::string& below) const { return store() + "/" + below; }
  std::string get(const std::string& below) {
    std::ifstream file(path(below), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  /// A new inode, as a hostile user would: other names of the old one keep their bytes.
  void replace(const std::string& below, std::string_view text) {
    fs::remove_all(path(below));
    std::ofstream(path(below), std::ios::binary) << text;
  }
  /// The object of the one file in the victim's own layer.
  std::string object() {
    const std::string content = get("trees/" + layer + "/.pkg-git");
    for (const auto& entry : fs::directory_iterator(path("store/objects"))) {
      if (get("store/objects/" + entry.path().filename().string()) == content)
        return entry.path().filename().string();
    }
    return {};
  }
  bool told(const Json& report, const std::string& kind, const std::string& hash) {
    return std::ranges::any_of(report.at("failures"), [&](const Json& failure) {
      return failure.at("kind") == kind && failure.at("hash") == hash;
    });
  }
  /// Whatever was done to the victim.
  void expect_others_are_well() {
    EXPECT_EQ(get("../project/outside/file"), "precious");
    karapace_ok({"exec", "other", "--", "true"});
    EXPECT_EQ(karapace_json({"inspect", "other"}).at("state"), "Built");
    static_cast<void>(karapace({"gc"}));
    karapace_ok({"exec", "other", "--", "true"});
    EXPECT_EQ(get("../project/outside/file"), "precious");
  }
  void expect_healed(const std::string& kind, const std::string& hash) {
    EXPECT_TRUE(told(karapace_json({"verify-store"}, 3), kind, hash));
    const Json report = karapace_json({"verify-store", "--repair"});
    EXPECT_EQ(report.at("failed"), 0);
    EXPECT_TRUE(std::ranges::any_of(report.at("repaired"), [&](const Json& item) {
      return item.at("kind") == kind && item.at("hash") == hash;
    })) << report.dump(2);
    EXPECT_EQ(karapace_json({"verify-store"}).at("failed"), 0);
    karapace_ok({"exec", "victim", "--", "true"});
    expect_others_are_well();
  }

  std::string victim, base, layer;
};

TEST_F(CliHostileStore, ADamagedObjectIsHealedFromATree) {
  const std::string bad = object();
  replace("store/objects/" + bad, "damaged");
  expect_healed("object", bad);
}

TEST_F(CliHostileStore, AMissingObjectIsHealedFromATree) {
  const std::string bad = object();
  fs::remove(path("store/objects/" + bad));
  expect_healed("object", bad);
}

TEST_F(CliHostileStore, AChangedTreeIsLaidOutAgain) {
  replace("trees/" + layer + "/.pkg-git", "damaged");
  std::ofstream(path("trees/" + layer + "/planted")) << "planted";
  expect_healed("tree", layer);
  EXPECT_FALSE(fs::exists(path("trees/" + layer + "/planted")));
}

TEST_F(CliHostileStore, AMissingTreeIsLaidOutAgain) {
  fs::remove_all(path("trees/" + layer));
  expect_healed("tree", layer);
}

TEST_F(CliHostileStore, ALinkInPlaceOfATreeIsReplaced) {
  fs::remove_all(path("trees/" + layer));
  fs::create_directory_symlink(outside(), path("trees/" + layer));
  expect_healed("tree", layer);
}

TEST_F(CliHostileStore, ALayerRecordIsMadeFromItsTree) {
  replace("store/layers/" + layer, "damaged");
  expect_healed("layer", layer);
  fs::remove(path("store/layers/" + layer));
  expect_healed("layer", layer);
}

TEST_F(CliHostileStore, ALayerRecordThatNamesAPathIsRefused) {
  std::string text = get("store/layers/" + layer);
  text.replace(text.find(layer), 12, "../../../etc");
  replace("store/layers/" + layer, text);
  expect_healed("layer", layer);
}

TEST_F(CliHostileStore, AnIndexIsMadeFromItsTree) {
  replace("store/objects/" + layer, "damaged");
  expect_healed("object", layer);
}

TEST_F(CliHostileStore, ADamagedBuildRecordGoes) {
  const std::string key = fs::directory_iterator(path("store/builds"))->path().filename().string();
  replace("store/builds/" + key, "damaged");
  expect_healed("build", key);
}

TEST_F(CliHostileStore, RepairMayFailOrDieAtEveryStep) {
  const std::string bad = object();
  replace("trees/" + base + "/planted", "planted");
  fs::remove(path("store/objects/" + bad));
  replace("store/layers/" + layer, "damaged");
  const std::string saved = project() + "/saved";
  ASSERT_EQ(run_program("cp", {"-a", store(), saved}).status, 0);
  const auto with_fault = [&](const std::string& fault) {
    fs::remove_all(store());
    EXPECT_EQ(run_program("cp", {"-a", saved, store()}).status, 0);
    environment_.emplace_back("KARAPACE_FAULT", fault);
    RunResult result = karapace({"verify-store", "--repair"});
    environment_.pop_back();
    return result;
  };
  ASSERT_EQ(with_fault("count:" + project() + "/count").status, 0);
  int calls = 0;
  std::ifstream counts(project() + "/count");
  for (int n = 0; counts >> n;) calls = std::max(calls, n);
  ASSERT_GT(calls, 5);
  for (const std::string kind : {"ENOSPC", "kill"}) {
    for (int n = 1; n <= calls && !HasFailure(); ++n) {
      SCOPED_TRACE(fmt::format("fault {}:{}", n, kind));
      with_fault(fmt::format("{}:{}", n, kind));
      EXPECT_EQ(karapace_json({"verify-store", "--repair"}).at("failed"), 0);
      karapace_ok({"exec", "victim", "--", "true"});
    }
  }
}

TEST_F(CliHostileStore, WhatHasNoSourceIsNamedWithWhatItAffects) {
  // In place: tree and object are one inode, so both have the wrong bytes, and nobody can build it again.
  std::ofstream(path("env/" + victim + "/upper/written")) << "by a user";
  karapace_ok({"commit", "victim"});
  const std::string bad = hash_bytes("by a user").hex();
  fs::permissions(path("store/objects/" + bad), fs::perms::owner_write, fs::perm_options::add);
  std::ofstream(path("store/objects/" + bad), std::ios::binary | std::ios::in) << "X";
  const Json report = karapace_json({"verify-store", "--repair"}, 3);
  ASSERT_TRUE(told(report, "object", bad)) << report.dump(2);
  for (const Json& failure : report.at("failures")) {
    if (failure.at("hash") == bad) {
      EXPECT_EQ(failure.at("affects"), Json::array({victim}));
    }
  }
  expect_others_are_well();
}

TEST_F(CliHostileStore, RecordsThatAreDamagedTruncatedOrOfAnotherEnvironmentAreNamed) {
  const std::string good = get("store/metadata/" + victim);
  const std::string others = karapace_json({"inspect", "other"}).at("env_id").get<std::string>();
  for (const std::string& text : {std::string("damaged"), std::string(), good.substr(0, good.size() / 2),
                                  get("store/metadata/" + others), std::string(1 << 20, '{')}) {
    replace("store/metadata/" + victim, text);
    EXPECT_TRUE(told(karapace_json({"verify-store", "--repair"}, 3), "metadata", victim));
    EXPECT_EQ(karapace_json({"gc"}, 3).at("held").at(0).at("what"), "store/metadata/" + victim);
    EXPECT_TRUE(fs::exists(path("env/" + victim + "/upper")));
    EXPECT_EQ(karapace_json({"inspect", "victim"}, 3).at("error").at("code"), "corrupt")
        << "it is not absent";
    expect_others_are_well();
  }
  replace("store/metadata/" + victim, good);
  EXPECT_EQ(karapace_json({"verify-store"}).at("failed"), 0);
  karapace_ok({"exec", "victim", "--", "true"});
}

TEST_F(CliHostileStore, ForgedJournalEntriesTouchNothing) {
  const std::string id(32, 'a');
  const auto entry = [&](const std::string& step) {
    return fmt::format(
        "{{\n  \"op_id\": \"{}\",\n  \"kind\": \"Build\",\n  \"env_id\": \"\",\n  \"timestamp\": \"t\",\n"
        "  \"rollback_steps\": [\n    {}\n  ]\n}}",
        id, step);
  };
  for (const std::string& step : {fmt::format("{{\"RemoveDir\": \"{}\"}}", outside()),
                                  std::string("{\"RemoveStaging\": \"../../env\"}"),
                                  fmt::format("{{\"FinishDestroy\": \"{}\"}}", victim),
                                  fmt::format("{{\"FinishDestroy\": \"../{}\"}}", victim)}) {
    replace("store/wal/" + id + ".json", entry(step));
    karapace_ok({"rename", "other", "other"});
    EXPECT_FALSE(fs::exists(path("store/wal/" + id + ".json"))) << "set aside";
    karapace_ok({"exec", "victim", "--", "true"});
  }
  fs::create_symlink(outside() + "/file", path("store/wal/" + std::string(32, 'b') + ".json"));
  karapace_ok({"rename", "other", "other"});
  expect_others_are_well();
  karapace_ok({"exec", "victim", "--", "true"});
}

TEST_F(CliHostileStore, LinksAreNeverFollowed) {
  const std::string name(64, '7');
  for (const char* place :
       {"store/objects/", "store/layers/", "store/metadata/", "store/snapshots/", "store/builds/",
        "store/packages/", "trees/", "env/", "store/staging/", "store/names/"}) {
    SCOPED_TRACE(place);
    const std::string link = path(place + name);
    fs::create_directories(fs::path(link).parent_path());
    fs::create_symlink(outside(), link);
    EXPECT_GE(karapace_json({"verify-store"}, 3).at("failed").get<int>(), 1);
    expect_others_are_well();
    fs::remove(link);
  }
}

TEST_F(CliHostileStore, ALinkInAnEnvironmentIsToldAndHidesNoOtherFromTheList) {
  for (const char* name : {"upper", "work", "home", "run"}) {
    SCOPED_TRACE(name);
    const std::string place = path("env/" + victim + "/" + name);
    fs::create_directories(place);
    fs::rename(place, path("aside"));
    fs::create_directory_symlink(outside(), place);
    EXPECT_EQ(karapace_json({"list"}).size(), 2);
    EXPECT_TRUE(told(karapace_json({"verify-store"}, 3), "environment", victim));
    expect_others_are_well();
    fs::remove(place);
    fs::rename(path("aside"), place);
  }
  EXPECT_EQ(karapace_json({"verify-store"}).at("failed"), 0);
}

TEST_F(CliHostileStore, ADirectoryInPlaceOfAFileStaysAndKeepsNothingElseFromGoing) {
  const std::string name(64, '7');
  for (const char* place : {"objects/", "layers/", "builds/", "packages/"})
    fs::create_directories(path("store/" + (place + name) + "/inside"));
  karapace_ok({"destroy", "victim"});
  const Json planned = karapace_json({"gc", "--dry-run"});
  const Json done = karapace_json({"gc"});
  for (const char* key : {"removed_objects", "removed_layers", "removed_trees", "bytes"})
    EXPECT_EQ(planned.at(key), done.at(key)) << key;
  EXPECT_FALSE(fs::exists(path("trees/" + layer)));
  EXPECT_TRUE(fs::exists(path("store/objects/" + name + "/inside")));
  const Json report = karapace_json({"verify-store"}, 3);
  for (const char* kind : {"object", "layer", "build", "package"})
    EXPECT_TRUE(told(report, kind, name)) << kind;
}

TEST_F(CliHostileStore, SnapshotsAreNotWrittenToAFileThatHasAnotherName) {
  std::ofstream(path("env/" + victim + "/upper/written")) << "by a user";
  karapace_ok({"commit", "victim", "-m", "first"});
  fs::create_hard_link(path("store/snapshots/" + victim), outside() + "/saved");
  const std::string before = get("../project/outside/saved");
  std::ofstream(path("env/" + victim + "/upper/more")) << "by a user";
  karapace_ok({"commit", "victim", "-m", "second"});
  EXPECT_EQ(get("../project/outside/saved"), before);
  EXPECT_EQ(karapace_json({"snapshots", "victim"}).at("snapshots").size(), 2);
}

TEST_F(CliHostileStore, ADirectoryOfTheStoreThatIsALinkIsAnErrorThatNamesIt) {
  for (const char* place : {"store/objects", "store/layers", "store/staging", "store/wal", "trees", "env"}) {
    SCOPED_TRACE(place);
    fs::rename(path(place), path("aside"));
    fs::create_directory_symlink(outside(), path(place));
    const RunResult result = karapace({"gc"});
    EXPECT_NE(result.status, 0);
    EXPECT_EQ(get("../project/outside/file"), "precious");
    fs::remove(path(place));
    fs::rename(path("aside"), path(place));
  }
  expect_others_are_well();
}

}  // namespace
}  // namespace karapace::test
