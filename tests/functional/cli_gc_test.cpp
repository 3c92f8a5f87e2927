// SPDX-License-Identifier: Apache-2.0
// gc on the real binary: what it reports, that a dry run is exact, and that it may fail or die at any step.
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "cli_support.hpp"

namespace karapace::test {
namespace {

namespace fs = std::filesystem;

class CliGc : public CliTest {
 protected:
  std::size_t count(const std::string& below) const {
    const fs::directory_iterator all(store() + "/" + below);
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
  }
  /// One environment stays, another one went.
  void prepare() {
    build_mock("kept", "'git'");
    fs::remove(project() + "/karapace.lock");
    build_mock("gone", "'curl', 'jq'");
    karapace_ok({"destroy", "gone"});
  }
  void expect_kept() {
    EXPECT_EQ(karapace_json({"inspect", "kept"}).at("state"), "Built");
    EXPECT_EQ(karapace_json({"verify-store"}).at("failed"), 0);
  }
};

TEST_F(CliGc, DryRunSaysExactlyWhatARunFrees) {
  prepare();
  const auto before = snapshot();
  const Json would = karapace_json({"gc", "--dry-run"});
  EXPECT_EQ(snapshot(), before) << "a dry run changes nothing";
  EXPECT_TRUE(would.at("dry_run").get<bool>());
  EXPECT_EQ(would.at("removed_layers"), 1);
  EXPECT_GT(would.at("removed_objects").get<int>(), 0);
  EXPECT_GT(would.at("bytes").get<int>(), 0);
  Json did = karapace_json({"gc"});
  EXPECT_FALSE(did.at("dry_run").get<bool>());
  did["dry_run"] = true;
  EXPECT_EQ(did, would);
  EXPECT_EQ(karapace_ok({"gc"}).out, "nothing to free\n");
  EXPECT_EQ(karapace_ok({"gc", "--dry-run"}).out, "nothing would be freed\n");
  expect_kept();
}

TEST_F(CliGc, InspectAndListTellWhatDestroyingAndCollectingGivesBack) {
  build_mock("kept", "'git'");
  fs::remove(project() + "/karapace.lock");
  const std::string gone = build_mock("gone", "'curl', 'jq'");
  fs::create_directory(store() + "/env/" + gone + "/upper/etc");
  std::ofstream(store() + "/env/" + gone + "/upper/etc/motd") << std::string(100000, 'x');
  karapace_ok({"commit", "gone"});
  std::ofstream(store() + "/env/" + gone + "/home/notes") << std::string(10000, 'x');
  const auto on_disk = [&] {
    const std::string text = run_program("/usr/bin/du", {"-s", "--block-size=1", store()}).out;
    return std::stoull(text.substr(0, text.find('\t')));
  };
  const Json told = karapace_json({"inspect", "gone"});
  const Json all = karapace_json({"list"});
  for (const Json& listed : all) {
    if (listed.at("env_id") == gone) {
      EXPECT_EQ(listed, told);
    }
  }
  EXPECT_GT(told.at("shared_bytes").get<std::uint64_t>(), 0U) << "the base";
  EXPECT_NE(karapace_ok({"inspect", "gone"}).out.find("KiB of its own, "), std::string::npos);
  const auto before = on_disk();
  karapace_ok({"destroy", "gone"});
  karapace_ok({"gc"});
  EXPECT_EQ(before - on_disk(), told.at("exclusive_bytes").get<std::uint64_t>());
  EXPECT_EQ(karapace_json({"inspect", "kept"}).at("shared_bytes"), 0);
}

TEST_F(CliGc, NamesWhatIsInAnEnvironmentWithoutARecordAndKeepsItUnlessAsked) {
  const std::string id = build_mock("dev", "'git'");
  const fs::path environment = fs::path(store()) / "env" / id;
  std::ofstream(environment / "upper/work") << "of a user";
  fs::remove(fs::path(store()) / "store/metadata" / id);
  const Json report = karapace_json({"gc"});
  EXPECT_TRUE(report.at("orphaned_envs").empty());
  ASSERT_EQ(report.at("held").size(), 1U);
  EXPECT_EQ(report.at("held").at(0).at("what"), "env/" + id);
  EXPECT_NE(karapace_ok({"gc", "--dry-run"}).out.find("kept env/" + id + ": it has no record"),
            std::string::npos);
  EXPECT_TRUE(fs::exists(environment / "upper/work"));
  EXPECT_EQ(karapace_json({"gc", "--discard-lost", "--dry-run"}).at("orphaned_envs"), Json::array({id}));
  EXPECT_TRUE(fs::exists(environment / "upper/work"));
  EXPECT_EQ(karapace_json({"gc", "--discard-lost"}).at("removed_envs"), 1);
  EXPECT_FALSE(fs::exists(environment));
}

TEST_F(CliGc, WithoutEnvironmentsNothingStays) {
  build_mock("dev", "'git'");
  karapace_ok({"destroy", "dev"});
  const std::string text = karapace_ok({"gc"}).out;
  EXPECT_TRUE(text.starts_with("freed ")) << text;
  for (const char* directory :
       {"store/objects", "store/layers", "store/builds", "store/packages", "trees", "env"})
    EXPECT_EQ(count(directory), 0U) << directory;
}

TEST_F(CliGc, ADamagedRecordIsNamedAndNothingItMayNeedGoes) {
  prepare();
  const std::string id = karapace_json({"inspect", "kept"}).at("env_id").get<std::string>();
  std::ofstream(store() + "/store/metadata/" + id, std::ios::binary) << "damaged";
  const auto before = snapshot();
  const Json report = karapace_json({"gc"}, 3);
  EXPECT_EQ(report.at("held").at(0).at("what"), "store/metadata/" + id);
  EXPECT_EQ(report.at("removed_objects"), 0);
  EXPECT_EQ(snapshot(), before);
  const RunResult text = karapace({"gc"});
  EXPECT_EQ(text.status, 3);
  EXPECT_NE(text.out.find(id), std::string::npos) << text.out;
}

TEST_F(CliGc, AStoreThatIsNotThereHasNothingToFree) {
  EXPECT_EQ(karapace_json({"gc"}).at("removed_objects"), 0);
  EXPECT_FALSE(fs::exists(store()));
}

TEST_F(CliGc, MayFailOrDieAtEveryStep) {
  prepare();
  const std::string saved = project() + "/saved";
  fs::copy(store(), saved, fs::copy_options::recursive);
  const auto with_fault = [&](const std::string& fault) {
    fs::remove_all(store());
    fs::copy(saved, store(), fs::copy_options::recursive);
    environment_.emplace_back("KARAPACE_FAULT", fault);
    const RunResult result = karapace({"gc"});
    environment_.pop_back();
    return result;
  };
  ASSERT_EQ(with_fault("count:" + project() + "/count").status, 0);
  const int calls = std::stoi(read("count"));
  ASSERT_GT(calls, 10);
  for (const std::string kind : {"ENOSPC", "EIO", "kill"}) {
    for (int n = 1; n <= calls && !HasFailure(); ++n) {
      SCOPED_TRACE(fmt::format("fault {}:{}", n, kind));
      const RunResult broken = with_fault(fmt::format("{}:{}", n, kind));
      if (kind == "kill") {
        EXPECT_NE(broken.status, 0);
      }
      expect_kept();
      karapace_ok({"gc"});
      EXPECT_EQ(count("trees"), 2U);
      expect_kept();
    }
  }
}

}  // namespace
}  // namespace karapace::test
