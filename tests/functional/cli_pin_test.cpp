// SPDX-License-Identifier: Apache-2.0
// pin, outdated and --update, as far as they need no distribution.
#include <filesystem>
#include <string>

#include "offline_support.hpp"

namespace karapace::test {
namespace {

namespace fs = std::filesystem;

using CliPin = OfflineTest;
using CliOutdated = OfflineTest;
using CliUpdate = OfflineTest;

TEST_F(CliPin, AnImageWithItsDigestIsPinnedAsItIs) {
  write_base_manifest();
  const std::string before = read("karapace.toml");
  karapace_ok({"pin", "--check"});
  EXPECT_FALSE(fs::exists(store())) << "a check changes nothing";
  const Json pinned = karapace_json({"pin"});
  EXPECT_EQ(pinned.at("status"), "pinned");
  EXPECT_FALSE(pinned.at("changed").get<bool>());
  EXPECT_EQ(read("karapace.toml"), before);
  EXPECT_FALSE(exists("karapace.lock"));
  const Json locked = karapace_json({"pin", "--write-lock"});
  EXPECT_EQ(locked.at("lock"), project() + "/karapace.lock");
  EXPECT_EQ(karapace_json({"build", "--locked"}).at("env_id"), locked.at("env_id"));
}

TEST_F(CliPin, WhatOnlyALockCanPinSaysSo) {
  write("base.tar", base_);
  for (const std::string image : {"debian/12", "rootfs:./base.tar"}) {
    write("karapace.toml", "manifest_version = 1\n[base]\nimage = \"" + image + "\"\n");
    const Json unpinned = karapace_json({"pin", "--check"}, 1).at("error");
    EXPECT_EQ(unpinned.at("code"), "conflict");
    EXPECT_EQ(unpinned.at("fix"), "karapace pin --write-lock, and commit the lock file");
    EXPECT_NE(karapace_json({"build", "--require-pinned-image"}, 2)
                  .at("error")
                  .at("fix")
                  .get<std::string>()
                  .find("build --locked"),
              std::string::npos);
    const Json error = karapace_json({"pin"}, 1).at("error");
    EXPECT_EQ(error.at("code"), "unsupported");
    EXPECT_NE(error.at("fix").get<std::string>().find("--write-lock"), std::string::npos);
  }
  karapace_ok({"pin", "--write-lock"});
  karapace_ok({"pin", "--check"});
  karapace_ok({"build", "--locked"});
  EXPECT_EQ(karapace({"pin", "--check", "--write-lock"}).status, 2);
  EXPECT_EQ(karapace({"pin", "nothing.toml"}).status, 2);
}

TEST_F(CliOutdated, TellsWhatWouldMoveAndMovesNothing) {
  build_mock("it", "'git', 'curl'");
  EXPECT_EQ(karapace_json({"outdated", "--check"}).at("status"), "current");
  LockFile lock = load_lock(project() + "/karapace.lock").value();
  ASSERT_EQ(lock.resolved_packages.at(1).name, "git");
  lock.resolved_packages[1].version = "0.1";
  lock.dependency_layer.clear();
  seal_identity(lock);
  save_lock(project() + "/karapace.lock", lock);
  const auto before = read("karapace.lock");
  const Json told = karapace_json({"outdated"});
  EXPECT_EQ(told.at("status"), "outdated");
  ASSERT_EQ(told.at("outdated").size(), 1U) << told;
  const Json& item = told.at("outdated")[0];
  EXPECT_EQ(item.at("kind"), "package");
  EXPECT_EQ(item.at("name"), "git");
  EXPECT_EQ(item.at("locked"), "0.1");
  EXPECT_EQ(item.at("available"), "0.0.0-mock");
  EXPECT_EQ(karapace({"outdated", "--check"}).status, 1);
  EXPECT_NE(karapace_ok({"outdated"}).out.find("git"), std::string::npos);
  EXPECT_EQ(read("karapace.lock"), before);
  EXPECT_TRUE(fs::is_empty(store() + "/store/staging"));
  EXPECT_TRUE(fs::is_empty(store() + "/store/wal"));
}

TEST_F(CliOutdated, NeedsALockThatFits) {
  write_mock_manifest("'git'");
  EXPECT_EQ(karapace({"outdated"}).status, 2);
  build_mock("it", "'git'");
  write_mock_manifest("'git', 'curl'");
  const Json error = karapace_json({"outdated"}, 2).at("error");
  EXPECT_NE(error.at("message").get<std::string>().find("'curl' was added"), std::string::npos) << error;
}

TEST_F(CliUpdate, ContradictionsAndUnknownNamesAreErrors) {
  build_mock("it", "'git'");
  const std::string lock = read("karapace.lock");
  for (const std::string other : {"--locked", "--offline"}) {
    for (const std::string update : {"--update", "--update=git"}) {
      const Json error = karapace_json({"build", other, update}, 2).at("error");
      EXPECT_NE(error.at("message").get<std::string>().find("contradict"), std::string::npos) << error;
    }
  }
  const Json error = karapace_json({"build", "--update=git,gti"}, 2).at("error");
  EXPECT_NE(error.at("message").get<std::string>().find("'gti'"), std::string::npos) << error;
  EXPECT_EQ(read("karapace.lock"), lock);
}

}  // namespace
}  // namespace karapace::test
