// SPDX-License-Identifier: Apache-2.0
// freeze and thaw on the real binary and the mock backend.
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
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
