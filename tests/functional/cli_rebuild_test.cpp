// SPDX-License-Identifier: Apache-2.0
// What stays a user's when packages change: snapshots, uncommitted changes, home; and restoring what was
// taken on other packages.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include "cli_support.hpp"

namespace karapace::test {
namespace {

namespace fs = std::filesystem;

class CliRebuild : public CliTest {
 protected:
  void SetUp() override { old_ = build_mock("dev", "'git'"); }

  [[nodiscard]] fs::path place(const std::string& id, const std::string& name) const {
    return fs::path(store()) / "env" / id / name;
  }
  void put(const std::string& id, const std::string& name, std::string_view content) const {
    fs::create_directories(place(id, "upper"));
    fs::remove(place(id, "upper") / name);  // as an overlay does
    std::ofstream(place(id, "upper") / name) << content;
  }
  std::string commit(const std::string& message) {
    return karapace_json({"commit", "dev", "-m", message}).at("snapshot_hash").get<std::string>();
  }
  std::string build_with(std::string_view packages, const std::string& verb = "build") {
    write_mock_manifest(packages);
    return karapace_json({verb}).at("env_id").get<std::string>();
  }
  /// What the environment shows at `name`, without mounting it.
  std::string shown(const std::string& name, const std::string& environment = "dev") {
    const Json record = karapace_json({"inspect", environment});
    std::vector<fs::path> stack = {place(record.at("env_id").get<std::string>(), "upper")};
    const auto add = [&](const Json& layers) {
      for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer)
        stack.push_back(fs::path(store()) / "trees" / layer->get<std::string>());
    };
    add(record.at("snapshot_layers"));
    add(record.at("dependency_layers"));
    add(Json::array({record.at("base_layer")}));
    for (const fs::path& tree : stack) {
      EXPECT_TRUE(fs::is_directory(tree)) << tree;
      std::ifstream file(tree / name);
      if (file) return {std::istreambuf_iterator<char>(file), {}};
    }
    return "(missing)";
  }
  std::vector<std::string> history(const std::string& environment = "dev") {
    std::vector<std::string> ids;
    const Json list = karapace_json({"snapshots", environment});
    for (const Json& snapshot : list.at("snapshots")) ids.push_back(snapshot.at("id").get<std::string>());
    return ids;
  }
  std::string last_kind() {
    return karapace_json({"snapshots", "dev"}).at("snapshots").back().at("kind").get<std::string>();
  }
  void expect_sound() {
    karapace_ok({"gc"});
    EXPECT_EQ(karapace_json({"verify-store"}).at("failed"), 0);
  }
  std::string old_;
};

TEST_F(CliRebuild, ABuildWithOtherPackagesHasTheHistoryAndLeavesTheOldEnvironmentAsItIs) {
  put(old_, "a", "committed");
  const std::string snapshot = commit("first");
  put(old_, "a", "uncommitted");
  const std::string id = build_with("'git', 'jq'");
  ASSERT_NE(id, old_);
  EXPECT_EQ(history(), std::vector{snapshot});
  EXPECT_EQ(history(old_), std::vector{snapshot});
  EXPECT_EQ(shown("a"), "(missing)");
  EXPECT_EQ(shown("a", old_), "uncommitted");
  EXPECT_TRUE(fs::is_empty(place(id, "upper")));
  karapace_ok({"build"});
  EXPECT_EQ(history(), std::vector{snapshot}) << "once";
  expect_sound();
}

TEST_F(CliRebuild, RestoringASnapshotOfOtherPackagesBringsThosePackagesBack) {
  put(old_, "a", "committed");
  const std::string snapshot = commit("with git alone");
  build_with("'git', 'jq'", "rebuild");
  expect_sound();
  EXPECT_EQ(shown(".pkg-jq"), "jq@0.0.0-mock");
  EXPECT_TRUE(karapace_json({"inspect", "dev"}).at("follows_lock").get<bool>());

  const Json back = karapace_json({"restore", "dev", snapshot});
  EXPECT_FALSE(back.at("follows_lock").get<bool>());
  EXPECT_EQ(shown("a"), "committed");
  EXPECT_EQ(shown(".pkg-git"), "git@0.0.0-mock");
  EXPECT_EQ(shown(".pkg-jq"), "(missing)");
  EXPECT_FALSE(karapace_json({"inspect", "dev"}).at("follows_lock").get<bool>());
  EXPECT_FALSE(karapace_json({"list"}).at(0).at("follows_lock").get<bool>());
  EXPECT_NE(karapace_ok({"inspect", "dev"}).out.find("those of snapshot " + snapshot.substr(0, 12)),
            std::string::npos);
  karapace_ok({"exec", "dev", "--", "true"});
  EXPECT_TRUE(karapace_json({"diff", "dev"}).at("changes").empty());
  expect_sound();

  // One goes on there, with a history.
  const std::string id = karapace_json({"inspect", "dev"}).at("env_id").get<std::string>();
  put(id, "b", "on the old packages");
  const std::string next = commit("second");
  EXPECT_EQ(history(), (std::vector{snapshot, next}));
  const std::string text = karapace_ok({"restore", "dev", snapshot}).out;
  EXPECT_NE(text.find("karapace build goes back"), std::string::npos) << text;
  EXPECT_EQ(shown("b"), "(missing)");
  expect_sound();
}

TEST_F(CliRebuild, TheNextBuildGoesBackToTheLockAndLosesNothing) {
  put(old_, "a", "committed");
  const std::string snapshot = commit("with git alone");
  const std::string id = build_with("'git', 'jq'", "rebuild");
  karapace_ok({"restore", "dev", snapshot});
  put(id, "b", "uncommitted");
  karapace_ok({"gc"});  // the lock's own layers may be gone by then
  const RunResult built = karapace_ok({"build"});
  EXPECT_NE(built.err.find("stood on the layers of snapshot " + snapshot.substr(0, 12)), std::string::npos)
      << built.err;
  EXPECT_TRUE(karapace_json({"inspect", "dev"}).at("follows_lock").get<bool>());
  EXPECT_EQ(shown(".pkg-jq"), "jq@0.0.0-mock");
  EXPECT_EQ(shown("a"), "(missing)");
  ASSERT_EQ(history().size(), 2U);
  EXPECT_EQ(last_kind(), "safety");
  karapace_ok({"restore", "dev", history().back()});
  EXPECT_EQ(shown("a"), "committed");
  EXPECT_EQ(shown("b"), "uncommitted");
  EXPECT_EQ(shown(".pkg-jq"), "(missing)");
  expect_sound();
}

TEST_F(CliRebuild, ARebuildKeepsSnapshotsWhatWasNotCommittedAndTheHome) {
  put(old_, "a", "committed");
  const std::string snapshot = commit("first");
  put(old_, "a", "uncommitted");
  std::ofstream(place(old_, "home") / "notes") << "mine";
  const std::string id = build_with("'git', 'jq'", "rebuild");
  EXPECT_EQ(karapace_json({"list"}).size(), 1U);
  expect_sound();
  ASSERT_EQ(history().size(), 2U);
  EXPECT_EQ(history().front(), snapshot);
  EXPECT_EQ(last_kind(), "safety");
  EXPECT_TRUE(fs::exists(place(id, "home") / "notes"));
  EXPECT_EQ(shown("a"), "(missing)");
  karapace_ok({"restore", "dev", history().back()});
  EXPECT_EQ(shown("a"), "uncommitted");
  EXPECT_EQ(shown(".pkg-jq"), "(missing)");
}

TEST_F(CliRebuild, WhatCannotBeCarriedOverStaysWhereItIs) {
  ASSERT_EQ(run_program("/usr/bin/python3", {"-c",
                                             "import socket,sys,os; os.chdir(sys.argv[1]); "
                                             "socket.socket(socket.AF_UNIX).bind('socket')",
                                             place(old_, "upper").string()})
                .status,
            0);
  put(old_, "a", "uncommitted");
  write_mock_manifest("'git', 'jq'");
  const RunResult built = karapace_ok({"rebuild"});
  EXPECT_NE(built.err.find("stays, because not everything in it could be carried over"), std::string::npos)
      << built.err;
  EXPECT_EQ(karapace_json({"list"}).size(), 2U);
  EXPECT_EQ(shown("a", old_), "uncommitted");
  EXPECT_EQ(shown(".pkg-jq"), "jq@0.0.0-mock");
}

TEST_F(CliRebuild, SomebodyElsesLockFindsTheEnvironmentByItsName) {
  put(old_, "a", "committed");
  const std::string snapshot = commit("first");
  // As after "git pull": manifest and lock are new together.
  write_mock_manifest("'git', 'jq'");
  const std::string elsewhere = project() + "/other-store";
  karapace_ok({"--store", elsewhere, "build"});
  fs::remove_all(elsewhere);
  const std::string id = karapace_json({"rebuild"}).at("env_id").get<std::string>();
  EXPECT_NE(id, old_);
  EXPECT_EQ(karapace_json({"list"}).size(), 1U);
  EXPECT_EQ(history(), std::vector{snapshot});
}

TEST_F(CliRebuild, FilesOfAnEnvironmentWhoseRecordIsLostAreNoPartOfANewOneAndNotLost) {
  put(old_, "a", "of the lost one");
  std::ofstream(place(old_, "home") / "notes") << "mine";
  fs::remove(fs::path(store()) / "store/metadata" / old_);
  const RunResult built = karapace_ok({"build", "--name", "dev"});
  EXPECT_NE(built.err.find("files of an earlier environment with this id were found"), std::string::npos)
      << built.err;
  EXPECT_NE(built.err.find("are in its home, and stay there"), std::string::npos) << built.err;
  EXPECT_EQ(shown("a"), "(missing)");
  ASSERT_EQ(history().size(), 1U);
  EXPECT_EQ(last_kind(), "safety");
  expect_sound();
  karapace_ok({"restore", "dev", history().back()});
  EXPECT_EQ(shown("a"), "of the lost one");
}

TEST_F(CliRebuild, MayFailOrDieAtAnyStepAndTheNextOneBringsEverythingOver) {
  put(old_, "a", "committed");
  const std::string snapshot = commit("first");
  put(old_, "a", "uncommitted");
  std::ofstream(place(old_, "home") / "notes") << "mine";
  const std::string saved = project() + "/saved";
  const std::string saved_lock = read("karapace.lock");
  ASSERT_EQ(run_program("cp", {"-a", store(), saved}).status, 0);
  write_mock_manifest("'git', 'jq'");
  const auto with_fault = [&](const std::string& fault) {
    fs::remove_all(store());
    EXPECT_EQ(run_program("cp", {"-a", saved, store()}).status, 0);
    write("karapace.lock", saved_lock);
    environment_.emplace_back("KARAPACE_FAULT", fault);
    const RunResult result = karapace({"rebuild"});
    environment_.pop_back();
    return result;
  };
  ASSERT_EQ(with_fault("count:" + project() + "/count").status, 0);
  int calls = 0;
  std::ifstream counts(project() + "/count");
  for (int n = 0; counts >> n;) calls = std::max(calls, n);
  ASSERT_GT(calls, 40);
  for (const std::string kind : {"ENOSPC", "kill"}) {
    // Not every step, for the sake of time; scripts/campaign has them all.
    const int stride = std::getenv("KARAPACE_EVERY_STEP") != nullptr ? 1 : calls / 20;
    for (int n = 1; n <= calls && !HasFailure(); n += stride) {
      SCOPED_TRACE(fmt::format("{}:{} of {}", n, kind, calls));
      with_fault(fmt::format("{}:{}", n, kind));
      const std::string id = karapace_json({"rebuild"}).at("env_id").get<std::string>();
      expect_sound();
      EXPECT_EQ(shown(".pkg-jq"), "jq@0.0.0-mock");
      EXPECT_TRUE(fs::exists(place(id, "home") / "notes"));
      ASSERT_GE(history().size(), 2U);
      EXPECT_EQ(history().front(), snapshot);
      karapace_ok({"restore", "dev", history().back()});
      EXPECT_EQ(shown("a"), "uncommitted");
    }
  }
}

}  // namespace
}  // namespace karapace::test
