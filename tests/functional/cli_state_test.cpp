// SPDX-License-Identifier: Apache-2.0
// freeze, thaw, archive and unarchive on the real binary and the mock backend.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "cli_support.hpp"

namespace karapace::test {
namespace {

namespace fs = std::filesystem;

class CliState : public CliTest {
 protected:
  std::string state(const std::string& name = "dev") {
    return karapace_json({"inspect", name}).at("state").get<std::string>();
  }
};

TEST_F(CliState, FreezeAndThawChangeTheStateAndMayBeRepeated) {
  const std::string id = build_mock("dev");
  const Json frozen = karapace_json({"freeze", "dev"});
  EXPECT_EQ(frozen.at("env_id"), id);
  EXPECT_EQ(frozen.at("status"), "frozen");
  EXPECT_TRUE(frozen.at("changed").get<bool>());
  EXPECT_EQ(state(), "Frozen");
  EXPECT_FALSE(karapace_json({"freeze", "dev"}).at("changed").get<bool>());
  EXPECT_EQ(karapace_json({"thaw", "dev"}).at("status"), "thawed");
  EXPECT_EQ(state(), "Built");
  EXPECT_EQ(karapace_ok({"thaw", "dev"}).out, "thawed dev (nothing to do)\n");
}

TEST_F(CliState, BuildOfTheManifestThawsAndKeepsWhatWasChanged) {
  const std::string id = build_mock("dev", "'git'");
  const std::string drift = store() + "/env/" + id + "/upper/drift";
  std::ofstream(drift) << "work";
  karapace_ok({"freeze", "dev"});
  EXPECT_EQ(karapace_json({"build"}).at("env_id"), id);
  EXPECT_EQ(state(), "Built");
  EXPECT_EQ(karapace_json({"verify-store"}).at("failed"), 0) << "all its layers are laid out";
  EXPECT_TRUE(fs::exists(drift));
}

TEST_F(CliState, ASessionKeepsItFromBeingFrozen) {
  build_mock("dev");
  std::string script = fmt::format(
      "exec 3>&1; {} exec dev -- sh -c 'echo up; exec sleep 30' | {{ read up; {} --json freeze dev; "
      "echo status $?; {} stop dev --grace 0 >/dev/null; }}",
      karapace_binary(), karapace_binary(), karapace_binary());
  const RunResult result = run_program("/bin/sh", {"-c", script});
  EXPECT_NE(result.out.find("\"conflict\""), std::string::npos) << result.out << result.err;
  EXPECT_NE(result.out.find("status 1"), std::string::npos) << result.out;
  EXPECT_EQ(state(), "Built");
}

class CliArchive : public CliState {
 protected:
  void write_drift(const std::string& id, const std::string& content) {
    std::ofstream(store() + "/env/" + id + "/upper/drift") << content;
  }
  std::size_t trees() const {
    const fs::directory_iterator all(store() + "/trees");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
  }
  /// What a session would see at /drift, from the layers that the record names.
  std::string drift(const std::string& id) {
    if (std::ifstream upper(store() + "/env/" + id + "/upper/drift"); upper)
      return {std::istreambuf_iterator<char>(upper), {}};
    const Json layers = karapace_json({"inspect", id}).at("snapshot_layers");
    for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer) {
      if (std::ifstream file(store() + "/trees/" + layer->get<std::string>() + "/drift"); file)
        return {std::istreambuf_iterator<char>(file), {}};
    }
    return {};
  }
};

TEST_F(CliArchive, ArchiveKeepsObjectsOnlyAndUnarchiveBringsEverythingBack) {
  const std::string id = build_mock("dev", "'git'");
  write_drift(id, "work");
  const Json archived = karapace_json({"archive", "dev"});
  EXPECT_EQ(archived.at("status"), "archived");
  EXPECT_TRUE(archived.at("changed").get<bool>());
  EXPECT_EQ(state(), "Archived");
  EXPECT_EQ(trees(), 0U);
  EXPECT_EQ(karapace_json({"verify-store"}).at("failed"), 0);
  EXPECT_FALSE(karapace_json({"archive", "dev"}).at("changed").get<bool>());
  EXPECT_EQ(karapace_json({"gc"}).at("removed_objects"), 0) << "it keeps what it needs";
  const RunResult refused = karapace({"exec", "dev", "--", "true"});
  EXPECT_EQ(refused.status, 125);
  EXPECT_NE(refused.err.find("karapace unarchive"), std::string::npos) << refused.err;
  EXPECT_EQ(karapace({"freeze", "dev"}).status, 1);

  EXPECT_EQ(karapace_json({"unarchive", "dev"}).at("status"), "unarchived");
  EXPECT_EQ(state(), "Built");
  EXPECT_EQ(trees(), 3U);
  EXPECT_EQ(drift(id), "work");
  EXPECT_EQ(karapace_json({"verify-store"}).at("failed"), 0);
  karapace_ok({"exec", "dev", "--", "true"});
}

TEST_F(CliArchive, TreesThatOthersUseStay) {
  build_mock("dev", "'git'");
  fs::remove(project() + "/karapace.lock");
  build_mock("other", "'curl'");
  karapace_ok({"freeze", "dev"});
  karapace_ok({"archive", "dev"});
  EXPECT_EQ(trees(), 2U);
  karapace_ok({"exec", "other", "--", "true"});
}

TEST_F(CliArchive, BuildOfTheManifestBringsItBackWithWhatWasWritten) {
  const std::string id = build_mock("dev", "'git'");
  write_drift(id, "work");
  karapace_ok({"archive", "dev"});
  EXPECT_EQ(karapace_json({"build"}).at("env_id"), id);
  EXPECT_EQ(state(), "Built");
  karapace_ok({"exec", "dev", "--", "true"});
  EXPECT_EQ(drift(id), "work");
}

TEST_F(CliArchive, WhatWasFrozenIsFrozenAgainAfterwards) {
  build_mock("dev");
  karapace_ok({"freeze", "dev"});
  karapace_ok({"archive", "dev"});
  EXPECT_TRUE(karapace_json({"unarchive", "dev"}).at("changed").get<bool>());
  EXPECT_EQ(state(), "Frozen");
  EXPECT_FALSE(karapace_json({"unarchive", "dev"}).at("changed").get<bool>());
  EXPECT_EQ(karapace_json({"thaw", "dev"}).at("status"), "thawed");
  karapace_ok({"archive", "dev"});
  karapace_ok({"unarchive", "dev"});
  EXPECT_EQ(state(), "Built") << "it was thawed meanwhile";
}

TEST_F(CliArchive, BuildThawsWhatWasFrozenAndSaysSo) {
  build_mock("dev");
  karapace_ok({"freeze", "dev"});
  karapace_ok({"archive", "dev"});
  EXPECT_NE(karapace_ok({"build"}).err.find("it was frozen and can be written to again"), std::string::npos);
  EXPECT_EQ(state(), "Built");
  karapace_ok({"archive", "dev"});
  karapace_ok({"unarchive", "dev"});
  EXPECT_EQ(state(), "Built");
}

TEST_F(CliArchive, MayFailOrDieAtEveryStep) {
  const std::string id = build_mock("dev", "'git'");
  write_drift(id, "work");
  const std::string saved = project() + "/saved";
  for (const std::string verb : {"archive", "unarchive"}) {
    ASSERT_EQ(run_program("cp", {"-a", store(), saved}).status, 0);
    const auto with_fault = [&](const std::string& fault) {
      fs::remove_all(store());
      EXPECT_EQ(run_program("cp", {"-a", saved, store()}).status, 0);
      environment_.emplace_back("KARAPACE_FAULT", fault);
      const RunResult result = karapace({verb, "dev"});
      environment_.pop_back();
      return result;
    };
    // The worker counts for itself; the command itself writes the largest number.
    ASSERT_EQ(with_fault("count:" + project() + "/count").status, 0);
    int calls = 0;
    std::ifstream counts(project() + "/count");
    for (int n = 0; counts >> n;) calls = std::max(calls, n);
    fs::remove(project() + "/count");
    ASSERT_GT(calls, 3);
    for (const std::string kind : {"ENOSPC", "kill"}) {
      for (int n = 1; n <= calls && !HasFailure(); ++n) {
        SCOPED_TRACE(fmt::format("{} {}:{}", verb, n, kind));
        with_fault(fmt::format("{}:{}", n, kind));
        karapace_ok({"rename", "dev", "dev"});  // whoever writes next recovers
        EXPECT_EQ(karapace_json({"verify-store"}).at("failed"), 0);
        if (state() == "Archived") karapace_ok({"unarchive", "dev"});
        EXPECT_EQ(state(), "Built");
        karapace_ok({"exec", "dev", "--", "true"});
        EXPECT_EQ(drift(id), "work");
        karapace_ok({"gc"});
        EXPECT_EQ(drift(id), "work");
      }
    }
    with_fault("count:/dev/null");
    fs::remove_all(saved);
  }
}

TEST_F(CliState, FreezeMayFailOrDieAtEveryStep) {
  build_mock("dev");
  for (const std::string verb : {"freeze", "thaw"}) {
    const std::string before = state();
    const std::string after = verb == "freeze" ? "Frozen" : "Built";
    environment_.emplace_back("KARAPACE_FAULT", "count:" + project() + "/count");
    karapace_ok({verb, "dev"});
    environment_.pop_back();
    const int calls = std::stoi(read("count"));
    fs::remove(project() + "/count");
    ASSERT_GT(calls, 2);
    for (const std::string kind : {"ENOSPC", "EIO", "kill"}) {
      for (int n = 1; n <= calls; ++n) {
        SCOPED_TRACE(fmt::format("{} {}:{}", verb, n, kind));
        if (state() == after) karapace_ok({verb == "freeze" ? "thaw" : "freeze", "dev"});
        environment_.emplace_back("KARAPACE_FAULT", fmt::format("{}:{}", n, kind));
        const RunResult result = karapace({verb, "dev"});
        environment_.pop_back();
        if (result.status == 0) {
          EXPECT_EQ(state(), after);
        }
        EXPECT_TRUE(state() == before || state() == after);
        EXPECT_EQ(karapace_json({"verify-store"}).at("failed"), 0);
      }
    }
    if (state() != after) karapace_ok({verb, "dev"});
  }
}

}  // namespace
}  // namespace karapace::test
