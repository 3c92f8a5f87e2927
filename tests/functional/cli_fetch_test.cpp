// SPDX-License-Identifier: Apache-2.0
// fetch, and builds that may not use the network.
#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "offline_support.hpp"

namespace karapace::test {
namespace {

using CliFetch = OfflineTest;

TEST_F(CliFetch, BringsEveryFileOfTheLockOnce) {
  write_lock_of_packages();
  const std::string lock = read("karapace.lock");
  const Json first = karapace_json({"fetch", "--locked"});
  EXPECT_EQ(first.at("files"), 4);
  EXPECT_EQ(first.at("downloaded_files"), 4);
  EXPECT_FALSE(first.at("lock_changed").get<bool>());
  EXPECT_EQ(stored(), hashes_);
  const Json second = karapace_json({"fetch"});
  EXPECT_EQ(second.at("downloaded_files"), 0);
  EXPECT_EQ(second.at("env_id"), first.at("env_id"));
  EXPECT_EQ(read("karapace.lock"), lock);
  EXPECT_EQ(karapace_json({"verify-store"}).at("failed"), 0);
}

TEST_F(CliFetch, MakesAMissingLockUnlessItMayNot) {
  write_base_manifest();
  EXPECT_EQ(karapace({"fetch", "--locked"}).status, 2);
  EXPECT_FALSE(exists("karapace.lock"));
  const Json made = karapace_json({"fetch"});
  EXPECT_TRUE(made.at("lock_changed").get<bool>());
  EXPECT_EQ(made.at("lock"), project() + "/karapace.lock");
  EXPECT_TRUE(exists("karapace.lock"));
  EXPECT_FALSE(karapace_json({"fetch", "--locked"}).at("lock_changed").get<bool>());
}

TEST_F(CliFetch, WhatWasFetchedIsBuiltWithoutNetwork) {
  write_base_manifest();
  karapace_ok({"fetch"});
  // In another store, so that nothing but the lock and the files can be the reason why it works.
  environment_.back().second = store() + "2";
  karapace_ok({"fetch", "--locked"});
  server_.reset();
  const RunResult built = karapace_without_network({"build", "--locked", "--offline", "--json"});
  ASSERT_EQ(built.status, 0) << built.err;
  EXPECT_EQ(parse_json(built.out, "build").at("downloaded_files"), 0);
}

TEST_F(CliFetch, ASizeThatIsNotThatOfTheFileIsRefusedAlsoIfTheStoreHasTheFile) {
  write_lock_of_packages();
  karapace_ok({"fetch", "--locked"});
  LockFile lock = load_lock(project() + "/karapace.lock").value();
  lock.resolved_packages[1].size += 1;
  seal_identity(lock);
  save_lock(project() + "/karapace.lock", lock);
  for (const std::string verb : {"fetch", "build"}) {
    const Json error = karapace_json({verb, "--locked"}, 2).at("error");
    EXPECT_NE(error.at("message").get<std::string>().find("beta 1.0"), std::string::npos) << error;
  }
}

TEST_F(CliFetch, ALockThatWasOnlyFetchedIsNoLockedBuildUntilItWasBuilt) {
  write_mock_manifest("'git'");
  karapace_ok({"fetch"});
  const std::string fetched = read("karapace.lock");
  const Json error = karapace_json({"build", "--locked"}, 2).at("error");
  EXPECT_EQ(error.at("code"), "invalid_input");
  EXPECT_NE(error.at("fix").get<std::string>().find("karapace build " + project() + "/karapace.toml"),
            std::string::npos)
      << error;
  EXPECT_EQ(read("karapace.lock"), fetched);
  karapace_ok({"fetch", "--locked"});
  karapace_ok({"bundle", "export", "it.bundle"});
  karapace_ok({"build", "--offline"});
  karapace_ok({"build", "--locked"});
}

TEST_F(CliFetch, AnOfflineBuildNamesEveryMissingFileAndHowToGetIt) {
  write_lock_of_packages();
  const Json error = karapace_json({"build", "--offline", "--locked"}, 2).at("error");
  EXPECT_EQ(error.at("code"), "invalid_input");
  EXPECT_EQ(error.at("missing").size(), 4U);
  for (const std::string name : {"base.tar", "alpha 1.0", "beta 1.0", "gamma 1.0"}) {
    EXPECT_NE(error.at("message").get<std::string>().find(name), std::string::npos) << name;
  }
  EXPECT_NE(error.at("fix").get<std::string>().find("karapace fetch --locked"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(store())) << "nothing was done";
  EXPECT_EQ(server_->connection_count(), 0U);
  // With some of them there only the others are missing.
  server_->set_fault("gamma", {.kind = HttpFault::Kind::NotFound});
  EXPECT_EQ(karapace({"fetch", "--locked"}).status, 2);
  const Json left = karapace_json({"build", "--offline"}, 2).at("error").at("missing");
  ASSERT_EQ(left.size(), 1U);
  EXPECT_EQ(left[0].at("label"), "gamma 1.0");
}

TEST_F(CliFetch, AnOfflineBuildSaysWhatItCannotResolve) {
  write_lock_of_packages();
  std::string manifest = read("karapace.toml");
  manifest.replace(manifest.find("\"gamma\""), 7, "\"gamma\", \"delta\"");
  write("karapace.toml", manifest);
  const Json error = karapace_json({"build", "--offline"}, 2).at("error");
  EXPECT_NE(error.at("message").get<std::string>().find("'delta'"), std::string::npos) << error;
  EXPECT_EQ(error.at("message").get<std::string>().find("'gamma'"), std::string::npos) << error;
  EXPECT_NE(error.at("fix").get<std::string>().find("karapace fetch"), std::string::npos);
}

TEST_F(CliFetch, ALockedBuildNamesEveryFileThatCannotBeHad) {
  write_lock_of_packages();
  karapace_ok({"fetch", "--locked"});
  for (const std::string& hash : hashes_) {
    if (hash != base_sha256_) std::filesystem::remove(store() + "/store/packages/" + hash);
  }
  server_->set_fault("pool", {.kind = HttpFault::Kind::NotFound});
  const Json error = karapace_json({"fetch", "--locked"}, 2).at("error");
  ASSERT_TRUE(error.contains("missing")) << error;
  EXPECT_EQ(error.at("missing").size(), 3U);
}

TEST_F(CliFetch, OtherBytesAreRefusedByName) {
  write_lock_of_packages();
  server_->set_fault("beta", {.kind = HttpFault::Kind::WrongBytes});
  const Json error = karapace_json({"fetch", "--locked"}, 2).at("error");
  EXPECT_NE(error.at("message").get<std::string>().find("beta 1.0"), std::string::npos) << error;
  for (const std::string& hash : stored()) {
    EXPECT_TRUE(std::filesystem::exists(store() + "/store/packages/" + hash));
    EXPECT_NE(hash, sha256_of("the package beta\n"));
  }
  EXPECT_EQ(karapace_json({"verify-store"}).at("failed"), 0);
}

TEST_F(CliFetch, AManInTheMiddleIsRefusedByNameAndLeavesNothing) {
  write_lock_of_packages();
  using Kind = HttpFault::Kind;
  const std::vector<HttpFault> faults = {{.kind = Kind::WrongBytes},
                                         {.kind = Kind::ShortBytes},
                                         {.kind = Kind::EndlessBytes},
                                         {.kind = Kind::Redirect, .location = "file:///etc/passwd"},
                                         {.kind = Kind::Redirect, .location = "ftp://127.0.0.1/beta"}};
  const std::string beta = sha256_of("the package beta\n");
  for (const std::string name : {"base.tar", "beta"}) {
    for (const HttpFault& fault : faults) {
      SCOPED_TRACE(name + " " + std::to_string(static_cast<int>(fault.kind)) + " " + fault.location);
      server_->set_fault(name, fault);
      const Json error = karapace_json({"fetch", "--locked"}, 2).at("error");
      EXPECT_EQ(error.at("code"), "invalid_input");
      EXPECT_NE(error.at("message").get<std::string>().find(name), std::string::npos) << error;
      const auto there = stored();
      EXPECT_EQ(std::ranges::count(there, name == "beta" ? beta : base_sha256_), 0);
      EXPECT_TRUE(std::filesystem::is_empty(store() + "/store/staging"));
      EXPECT_TRUE(std::filesystem::is_empty(store() + "/store/wal"));
      EXPECT_EQ(karapace_json({"verify-store"}).at("failed"), 0);
      server_->set_fault(name, {});
    }
  }
  // What he left of downloads does no harm either.
  karapace_ok({"fetch", "--locked"});
  EXPECT_EQ(stored(), hashes_);
}

}  // namespace
}  // namespace karapace::test
