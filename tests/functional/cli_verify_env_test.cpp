// SPDX-License-Identifier: Apache-2.0
// verify-env, and builds that give another layer than their lock says.
#include <filesystem>
#include <fstream>
#include <string>

#include "offline_support.hpp"

namespace karapace::test {
namespace {

namespace fs = std::filesystem;

class CliVerifyEnv : public OfflineTest {
 protected:
  [[nodiscard]] Json only_difference(const Json& layer) {
    EXPECT_EQ(layer.at("differences").size(), 1U) << layer;
    return layer.at("differences").at(0);
  }
  std::string tree(const std::string& digest) { return store() + "/trees/" + digest; }
};

TEST_F(CliVerifyEnv, ASecondBuildFromTheLockIsTheSameAndLeavesNothingBehind) {
  write_base_manifest();
  const Json built = karapace_json({"build", "--name", "dev"});
  server_.reset();  // what the store has is not downloaded
  const auto before = snapshot();
  const Json result = karapace_json({"verify-env", "--rebuild", "dev"});
  EXPECT_EQ(snapshot(), before);
  EXPECT_TRUE(result.at("identical").get<bool>());
  EXPECT_TRUE(result.at("rebuilt").get<bool>());
  EXPECT_EQ(result.at("downloaded_files"), 0);
  ASSERT_EQ(result.at("layers").size(), 1U);
  const Json& layer = result.at("layers").at(0);
  EXPECT_EQ(layer.at("kind"), "base");
  EXPECT_EQ(layer.at("expected"), built.at("base_layer"));
  EXPECT_EQ(layer.at("found"), built.at("base_layer"));
}

TEST_F(CliVerifyEnv, WhatTheStoreLacksIsDownloaded) {
  write_base_manifest();
  karapace_ok({"build", "--name", "dev"});
  fs::remove(store() + "/store/packages/" + base_sha256_);
  EXPECT_EQ(karapace_json({"verify-env", "--rebuild"}).at("downloaded_files"), 1);
  fs::remove(store() + "/store/packages/" + base_sha256_);
  server_->set_fault("base.tar", {.kind = HttpFault::Kind::WrongBytes});
  EXPECT_EQ(karapace_json({"verify-env", "--rebuild"}, 2).at("error").at("code"), "invalid_input");
}

TEST_F(CliVerifyEnv, AFileThatIsNotWhatWasBuiltIsNamed) {
  write_base_manifest();
  const Json built = karapace_json({"build", "--name", "dev"});
  EXPECT_TRUE(karapace_json({"verify-env", "dev"}).at("identical").get<bool>());
  const std::string file = tree(built.at("base_layer")) + "/etc/greeting";
  fs::permissions(file, fs::perms::owner_all);
  std::ofstream(file) << "other";
  const Json result = karapace_json({"verify-env", "dev"}, 3);
  EXPECT_FALSE(result.at("identical").get<bool>());
  const Json difference = only_difference(result.at("layers").at(0));
  EXPECT_EQ(difference.at("path"), "etc/greeting");
  EXPECT_EQ(difference.at("change"), "modified");
  EXPECT_EQ(difference.at("what"), Json({"content", "mode"}));
  EXPECT_TRUE(difference.at("package").is_null());
}

TEST_F(CliVerifyEnv, APackageThatIsNeverTheSameTwiceIsNamedAndBothVersionsAreKept) {
  const std::string file = ".pkg-ever-changing-x";
  build_mock("dev", "'ever-changing-x', 'steady'");
  const Json record = karapace_json({"inspect", "dev"});
  const auto before = snapshot();
  const Json result = karapace_json({"verify-env", "--rebuild", "dev"}, 1);
  EXPECT_EQ(snapshot(), before);
  EXPECT_TRUE(result.at("layers").at(0).at("identical").get<bool>());
  EXPECT_EQ(only_difference(result.at("layers").at(1)).at("path"), file);
  EXPECT_EQ(only_difference(result.at("layers").at(1)).at("what"), Json({"content"}));
  EXPECT_EQ(karapace({"verify-env", "--rebuild", "dev", "--keep", "kept"}).status, 1);
  EXPECT_EQ(read("kept/expected/" + file),
            read("../store/trees/" + record.at("dependency_layers").at(0).get<std::string>() + "/" + file));
  EXPECT_NE(read("kept/expected/" + file), read("kept/rebuilt/" + file));
  EXPECT_FALSE(exists("kept/rebuilt/.pkg-steady"));
}

TEST_F(CliVerifyEnv, ALockedBuildThatGivesAnotherLayerNamesTheFiles) {
  build_mock("dev", "'ever-changing-x', 'steady'");
  const std::string first = karapace_json({"inspect", "dev"}).at("dependency_layers").at(0);
  const std::string first_store = store();
  environment_.back().second = store() + "2";
  const auto error = [&] { return karapace_json({"build", "--locked"}, 1).at("error"); };
  // Nobody here knows the layer of the lock; two builds of this store are compared.
  const Json unknown = error();
  EXPECT_EQ(unknown.at("code"), "conflict");
  EXPECT_NE(unknown.at("message").get<std::string>().find("/.pkg-ever-changing-x (content)"),
            std::string::npos)
      << unknown;
  EXPECT_NE(unknown.at("message").get<std::string>().find("does not have the list of"), std::string::npos);
  EXPECT_EQ(unknown.at("layer").at("expected"), first);
  EXPECT_FALSE(unknown.at("layer").at("identical").get<bool>());
  EXPECT_EQ(unknown.at("layer").at("compared_with"), "another build");
  EXPECT_EQ(only_difference(unknown.at("layer")).at("path"), ".pkg-ever-changing-x");
  // With its index the layer itself is compared.
  fs::copy_file(first_store + "/store/objects/" + first, first_store + "2/store/objects/" + first);
  const Json known = error();
  EXPECT_EQ(known.at("layer").at("expected"), first);
  EXPECT_EQ(known.at("layer").at("compared_with"), "expected");
  EXPECT_EQ(only_difference(known.at("layer")).at("what"), Json({"content"}));
}

TEST_F(CliVerifyEnv, RefusesWhatHasNoLayersOfItsLock) {
  write_base_manifest();
  karapace_ok({"build", "--name", "dev"});
  karapace_ok({"archive", "dev"});
  EXPECT_EQ(karapace_json({"verify-env", "--rebuild", "dev"}, 1).at("error").at("code"), "conflict");
  karapace_ok({"unarchive", "dev"});
  karapace_ok({"verify-env", "--rebuild", "dev"});
  EXPECT_EQ(karapace({"verify-env", "dev", "--keep", "x"}).status, 2);
}

}  // namespace
}  // namespace karapace::test
