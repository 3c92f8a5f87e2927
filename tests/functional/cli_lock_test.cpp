// SPDX-License-Identifier: Apache-2.0
// What can be asked of locks without building anything.
#include <string>

#include "cli_support.hpp"

namespace karapace::test {
namespace {

using CliLock = CliTest;

TEST_F(CliLock, ExplainComparesEnvironmentsLocksAndManifests) {
  build_mock("first", "'git'");
  std::string old_lock = read("karapace.lock");
  write("old.lock", old_lock);
  build_mock("second", "'git', 'curl'");

  for (const auto& [a, b] : std::vector<std::pair<std::string, std::string>>{
           {"first", "second"}, {"old.lock", "karapace.lock"}, {"first", "karapace.lock"}}) {
    const Json report = karapace_json({"explain", a, b});
    EXPECT_FALSE(report.at("same_identity").get<bool>());
    ASSERT_EQ(report.at("changes").size(), 1U) << report.dump(1);
    const Json& change = report.at("changes")[0];
    EXPECT_EQ(change.at("change"), "added");
    EXPECT_EQ(change.at("what"), "package");
    EXPECT_EQ(change.at("name"), "curl");
    EXPECT_TRUE(change.at("identity").get<bool>());
    EXPECT_EQ(change.at("fields")[0].at("from"), nullptr);
  }
  const Json same = karapace_json({"explain", "second", "karapace.toml"});
  EXPECT_TRUE(same.at("same_identity").get<bool>());
  EXPECT_TRUE(same.at("changes").empty());
  EXPECT_EQ(same.at("b").at("env_id"), nullptr);
  const Json asked = karapace_json({"explain", "karapace.toml", "first"});
  EXPECT_EQ(asked.at("changes")[0].at("change"), "removed");
  EXPECT_EQ(asked.at("a").at("kind"), "manifest");
  EXPECT_EQ(asked.at("b").at("kind"), "environment");
}

TEST_F(CliLock, ExplainForPeopleShowsEachCauseOnALine) {
  build_mock("first", "'git'");
  write("old.lock", read("karapace.lock"));
  write("karapace.toml",
        "manifest_version = 1\n[base]\nimage = 'rolling'\n[system]\npackages = ['jq']\n"
        "[hardware]\ngpu = true\n[runtime]\nbackend = 'mock'\n");
  karapace_ok({"build", "--update"});
  const RunResult text = karapace_ok({"explain", "old.lock", "karapace.lock"});
  EXPECT_NE(text.out.find("  ~ hardware.gpu false -> true\n"), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("  - package git 0.0.0-mock\n"), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("  + package jq 0.0.0-mock\n"), std::string::npos) << text.out;
}

TEST_F(CliLock, ExplainRefusesALockThatSomebodyEditedAndReadsWithoutAStore) {
  build_mock("first", "'git'");
  std::string lock = read("karapace.lock");
  lock.replace(lock.find("0.0.0-mock"), 10, "0.0.1-mock");
  write("edited.lock", lock);
  EXPECT_EQ(karapace_json({"explain", "edited.lock", "karapace.lock"}, 2).at("error").at("code"),
            "invalid_input");
  EXPECT_EQ(karapace_json({"explain", "missing.lock", "karapace.lock"}, 1).at("error").at("code"),
            "not_found");
  EXPECT_EQ(karapace_json({"explain", "nobody", "karapace.lock"}, 1).at("error").at("code"), "not_found");

  const RunResult elsewhere =
      karapace({"--store", project() + "/none", "explain", "karapace.lock", "karapace.lock"});
  EXPECT_EQ(elsewhere.status, 0) << elsewhere.err;
  EXPECT_FALSE(exists("none"));
}

TEST_F(CliLock, SbomIsTheSameForAnEnvironmentAndItsLockWithoutNetworkOrClock) {
  build_mock("dev", "'git', 'curl'");
  for (const std::string format : {"spdx", "cyclonedx"}) {
    const std::string of_lock = karapace_ok({"sbom", "--format", format}).out;
    EXPECT_EQ(karapace_ok({"sbom", "dev", "--format", format}).out, of_lock);
    EXPECT_EQ(karapace_ok({"sbom", "karapace.toml", "--json", "--format", format}).out, of_lock);
    EXPECT_EQ(karapace_ok({"sbom", "./karapace.lock", "--format", format, "--store", project() + "/x"}).out,
              of_lock);
    EXPECT_NE(of_lock.find("2025-01-01T00:00:00Z"), std::string::npos);
    EXPECT_NE(of_lock.find("pkg:generic/git@0.0.0-mock?arch=all"), std::string::npos);
  }
  EXPECT_EQ(karapace_ok({"sbom"}).out, karapace_ok({"sbom", "--format", "spdx"}).out);
  EXPECT_EQ(karapace({"sbom", "--format", "xml"}).status, 2);
  EXPECT_EQ(karapace({"sbom", "other.toml"}).status, 1);
}

}  // namespace
}  // namespace karapace::test
