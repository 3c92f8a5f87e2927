// SPDX-License-Identifier: Apache-2.0
// Bad input: a clear error, status 2, and nothing changed.
#include <fmt/format.h>

#include <filesystem>
#include <string>

#include "cli_support.hpp"

namespace karapace::test {
namespace {

class CliBadInput : public CliTest {
 protected:
  /// Builds `manifest` over an existing environment: must fail with status 2, name `wanted`, and leave every
  /// file alone.
  void expect_refused(const std::string& manifest, std::string_view wanted) {
    build_mock("before", "'git'");
    write("bad.toml", manifest);
    const std::vector<std::string> before = snapshot();
    const RunResult text = karapace({"build", "bad.toml"});
    EXPECT_EQ(text.status, 2) << text.err;
    EXPECT_TRUE(text.out.empty()) << text.out;
    EXPECT_NE(text.err.find(wanted), std::string::npos) << text.err;
    // Steps may have been told before; the error is a line of its own.
    EXPECT_NE(("\n" + text.err).find("\nerror: "), std::string::npos) << text.err;
    EXPECT_LT(text.err.size(), 5000U);
    const Json error = karapace_json({"build", "bad.toml"}, 2).at("error");
    EXPECT_EQ(error.at("code"), "invalid_input");
    EXPECT_FALSE(error.at("message").get<std::string>().empty());
    EXPECT_EQ(snapshot(), before);
  }

  static std::string manifest(std::string_view image, std::string_view packages, std::string_view more = {}) {
    return fmt::format(
        "manifest_version = 1\n[base]\nimage = \"{}\"\n[system]\npackages = [{}]\n"
        "[runtime]\nbackend = \"mock\"\n{}",
        image, packages, more);
  }
};

TEST_F(CliBadInput, MissingManifestNamesNew) {
  const RunResult result = karapace({"build"});
  EXPECT_EQ(result.status, 2);
  EXPECT_NE(result.err.find("karapace new"), std::string::npos) << result.err;
}

TEST_F(CliBadInput, WhereNoManifestIsNobodyIsToldToBuildIt) {
  for (const char* command : {"inspect", "diff", "snapshots", "commit"}) {
    const Json error = karapace_json({command}, 1).at("error");
    EXPECT_EQ(error.at("code"), "not_found");
    EXPECT_EQ(error.at("message"), "karapace.toml: there is no such file");
    EXPECT_NE(error.at("fix").get<std::string>().find("karapace new"), std::string::npos) << command;
  }
}

TEST_F(CliBadInput, UnknownKeySuggestsTheRightOneAndSaysWhere) {
  const std::string text = "manifest_version = 1\n[base]\nimage = \"rolling\"\n[system]\npakages = []\n";
  expect_refused(text, "did you mean 'packages'?");
  const Json error = karapace_json({"build", "bad.toml"}, 2).at("error");
  EXPECT_EQ(error.at("line"), 5);
  EXPECT_EQ(error.at("column"), 1);
  EXPECT_EQ(error.at("key"), "system.pakages");
  EXPECT_NE(error.at("file").get<std::string>().find("bad.toml"), std::string::npos);
}

TEST_F(CliBadInput, WrongType) { expect_refused(manifest("rolling", "1"), "packages"); }

TEST_F(CliBadInput, DuplicateKey) {
  expect_refused("manifest_version = 1\nmanifest_version = 1\n[base]\nimage = \"rolling\"\n",
                 "manifest_version");
}

TEST_F(CliBadInput, EmptyImage) { expect_refused(manifest(" ", ""), "base.image"); }

TEST_F(CliBadInput, UnknownImage) {
  expect_refused("manifest_version = 1\n[base]\nimage = \"no-such-distribution/99\"\n",
                 "no-such-distribution/99");
}

TEST_F(CliBadInput, UnknownPackageIsNamed) {
  expect_refused(manifest("rolling", "'no-such-tool'"), "no-such-tool");
}

TEST_F(CliBadInput, PackageNameThatIsAnOption) { expect_refused(manifest("rolling", "'-oFoo'"), "-oFoo"); }

TEST_F(CliBadInput, PackageNameWithANewlineStaysOnOneLine) {
  expect_refused(manifest("rolling", "\"git\\nevil\""), "git\\x0aevil");
}

TEST_F(CliBadInput, MountThatClimbsOut) {
  expect_refused(manifest("rolling", "", "[mounts]\nout = \"../..:/mnt\"\n"), "..");
}

TEST_F(CliBadInput, AHundredMebibytesOfToml) { expect_refused(std::string(100 << 20, '#'), "bad.toml"); }

TEST_F(CliBadInput, NestingTenThousandDeep) {
  expect_refused("manifest_version = 1\nx = " + std::string(10000, '[') + std::string(10000, ']') + "\n",
                 "bad.toml");
}

TEST_F(CliBadInput, InvalidUtf8) { expect_refused("manifest_version = 1\n# \xff\xfe\n", "UTF-8"); }

TEST_F(CliBadInput, ALockEditedByHand) {
  build_mock("dev", "'git'");
  std::string lock = read("karapace.lock");
  const std::size_t at = lock.find("0.0.0-mock");
  ASSERT_NE(at, std::string::npos);
  write("karapace.lock", lock.replace(at, 5, "6.6.6"));
  const std::vector<std::string> before = snapshot();
  const RunResult result = karapace({"build"});
  EXPECT_EQ(result.status, 2) << result.err;
  EXPECT_NE(result.err.find("karapace.lock"), std::string::npos) << result.err;
  EXPECT_EQ(snapshot(), before);
}

TEST_F(CliBadInput, ALockOfAnotherManifest) {
  build_mock("dev", "'git'");
  write_mock_manifest("'python3'");
  const std::vector<std::string> before = snapshot();
  const RunResult result = karapace({"build"});
  EXPECT_EQ(result.status, 2) << result.err;
  EXPECT_NE(result.err.find("--update"), std::string::npos) << result.err;
  EXPECT_EQ(snapshot(), before);
}

TEST_F(CliBadInput, AnImageThatIsNotPinned) {
  write("karapace.toml", "manifest_version = 1\n[base]\nimage = \"debian/12\"\n");
  const RunResult result = karapace({"build", "--require-pinned-image"});
  EXPECT_EQ(result.status, 2);
  EXPECT_NE(result.err.find("debian/12"), std::string::npos) << result.err;
  EXPECT_FALSE(exists("karapace.lock"));
}

TEST_F(CliBadInput, EveryWrongPlaceSaysWhatToDo) {
  build_mock("dev", "'git'");
  const auto fix_of = [&](const std::vector<std::string>& words) {
    return karapace_json(words, 2).at("error").at("fix").get<std::string>();
  };
  const auto expect_fix = [&](const std::vector<std::string>& words, std::string_view wanted) {
    const std::string fix = fix_of(words);
    EXPECT_NE(fix.find(wanted), std::string::npos) << words.back() << ": " << fix;
  };
  expect_fix({"build", "."}, "karapace.toml");
  expect_fix({"build", "--update=nope"}, "system.packages");
  expect_fix({"--store", "/dev/null", "build"}, "--store");
  expect_fix({"--store", project() + "/karapace.lock", "list"}, "KARAPACE_STORE");
  std::filesystem::remove(project() + "/karapace.lock");
  std::filesystem::create_directory(project() + "/karapace.lock");
  expect_fix({"build"}, "remove it");
  std::filesystem::remove(project() + "/karapace.lock");
  write("karapace.lock", "");
  expect_fix({"build"}, "remove it");
  expect_fix({"build", "--update"}, "remove it");
}

TEST_F(CliBadInput, ABadNameIsRefusedBeforeAnythingIsBuilt) {
  write_mock_manifest("'git'");
  const std::vector<std::string> before = snapshot();
  EXPECT_EQ(karapace({"build", "--name", "two words"}).status, 2);
  EXPECT_EQ(snapshot(), before);
}

}  // namespace
}  // namespace karapace::test
