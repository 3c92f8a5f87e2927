// SPDX-License-Identifier: Apache-2.0
// Two projects whose manifests have one identity, and environments that lose their name: nobody's files
// change hands unseen.
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "cli_support.hpp"

namespace karapace::test {
namespace {

namespace fs = std::filesystem;

class CliSharing : public CliTest {
 protected:
  void SetUp() override {
    for (const std::string name : {"a", "b"}) {
      fs::create_directories(project() + "/" + name);
      write_mock_manifest("'git'", name + "/karapace.toml");
    }
    id_ = karapace_json({"build", "a/karapace.toml"}).at("env_id").get<std::string>();
  }
  static std::string notes_of(const Json& built) {
    std::string text;
    for (const Json& note : built.at("notes")) text += note.get<std::string>() + "\n";
    return text;
  }
  Json record() { return karapace_json({"inspect", id_}); }
  [[nodiscard]] std::string short_id() const { return id_.substr(0, 12); }

  std::string id_;
};

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST_F(CliSharing, ABuildTellsThatAnotherProjectHasTheSameEnvironment) {
  EXPECT_TRUE(karapace_json({"build", "a/karapace.toml"}).at("notes").empty());
  const Json built = karapace_json({"build", "b/karapace.toml"});
  EXPECT_EQ(built.at("env_id"), id_);
  EXPECT_EQ(built.at("name"), "a") << "a default takes no name away";
  EXPECT_HAS(notes_of(built), short_id() + " was made for " + project() + "/a/karapace.toml");
  EXPECT_TRUE(karapace_json({"build", "b/karapace.toml"}).at("notes").empty()) << "told once";
  // Whoever had it is told as well.
  const RunResult back = karapace_ok({"build", "a/karapace.toml"});
  EXPECT_HAS(back.err, "was made for " + project() + "/b/karapace.toml");
  EXPECT_EQ(record().at("manifest_path"), project() + "/a/karapace.toml");
}

TEST_F(CliSharing, AnotherWayToTheSameManifestIsTheSameProject) {
  fs::create_directory_symlink(project() + "/a", project() + "/link");
  const Json built = karapace_json({"build", "link/karapace.toml"});
  EXPECT_TRUE(built.at("up_to_date").get<bool>());
  EXPECT_EQ(notes_of(built), "");
}

TEST_F(CliSharing, AProjectThatMovedIsToldSo) {
  fs::rename(project() + "/a", project() + "/c");
  EXPECT_HAS(notes_of(karapace_json({"build", "c/karapace.toml"})), "which is not there any more");
  EXPECT_EQ(notes_of(karapace_json({"build", "c/karapace.toml"})), "");
}

TEST_F(CliSharing, ANameThatIsTakenAwayIsTold) {
  const Json built = karapace_json({"build", "b/karapace.toml", "--name", "projB"});
  EXPECT_EQ(built.at("name"), "projB");
  EXPECT_HAS(notes_of(built), short_id() + " was called 'a' and is called 'projB' now");
}

TEST_F(CliSharing, WhatAnotherProjectFrozeOrArchivedStaysSo) {
  for (const auto& [verb, state, undo] : {std::tuple("freeze", "Frozen", "thaw"),  //
                                          std::tuple("archive", "Archived", "unarchive")}) {
    karapace_ok({verb, "a"});
    for (const bool named : {false, true}) {
      std::vector<std::string> words = {"build", "b/karapace.toml"};
      if (named) words.insert(words.end(), {"--name", "projB"});
      const Json error = karapace_json(words, 1).at("error");
      EXPECT_EQ(error.at("code"), "conflict");
      EXPECT_HAS(error.at("message").get<std::string>(), project() + "/a/karapace.toml");
      EXPECT_HAS(error.at("fix").get<std::string>(), fmt::format("karapace {} {}", undo, short_id()));
    }
    EXPECT_EQ(record().at("state"), state);
    EXPECT_EQ(record().at("name"), "a");
    EXPECT_FALSE(exists("b/karapace.lock"));
    karapace_ok({"build", "a/karapace.toml"});
    EXPECT_EQ(record().at("state"), "Built") << "its own manifest may";
  }
}

TEST_F(CliSharing, NoNameIsTakenFromUnderASession) {
  const std::string script = fmt::format(
      "exec 3>&1; {0} exec a -- sh -c 'echo up; exec sleep 30' | {{ read up; "
      "{0} --json build b/karapace.toml --name projB; echo status $?; "
      "{0} build b/karapace.toml; echo status $?; {0} stop a --grace 0 >/dev/null; }}",
      karapace_binary());
  const RunResult result = run_program("/bin/sh", {"-c", script});
  EXPECT_HAS(result.out, "\"conflict\"");
  EXPECT_HAS(result.out, "status 1");
  EXPECT_HAS(result.out, "status 0");
  EXPECT_EQ(record().at("name"), "a");
}

TEST_F(CliSharing, TheNameOfAFrozenEnvironmentOfAnotherProjectIsNotTakenByItsLock) {
  fs::copy_file(project() + "/a/karapace.lock", project() + "/b/karapace.lock");
  write_mock_manifest("'git', 'jq'", "b/karapace.toml");
  karapace_ok({"freeze", "a"});
  EXPECT_EQ(karapace_json({"build", "b/karapace.toml", "--name", "a"}, 1).at("error").at("code"), "conflict");
  EXPECT_EQ(read("a/karapace.lock"), read("b/karapace.lock"));
  karapace_ok({"thaw", "a"});
  const Json built = karapace_json({"build", "b/karapace.toml", "--name", "a"});
  EXPECT_HAS(notes_of(built), "moves here from " + short_id() + " of " + project() + "/a/karapace.toml");
}

TEST_F(CliSharing, WhatStaysInAnEnvironmentWithoutItsNameIsTold) {
  std::ofstream(store() + "/env/" + id_ + "/upper/file") << "work";
  std::ofstream(store() + "/env/" + id_ + "/home/notes") << "mine";
  write_mock_manifest("'git', 'jq'", "a/karapace.toml");
  const std::string told = notes_of(karapace_json({"build", "a/karapace.toml"}));
  EXPECT_HAS(told, "with what was not committed and the files of its home in it");
  for (const std::string verb : {"diff", "destroy"})
    EXPECT_HAS(told, fmt::format("karapace {} {}", verb, short_id()));
  EXPECT_HAS(told, "karapace rebuild in place of build");
  EXPECT_HAS(karapace_ok({"diff", short_id()}).out, "file");
}

TEST_F(CliSharing, AnEnvironmentWithNothingInItLosesItsNameInOneLine) {
  write_mock_manifest("'git', 'jq'", "a/karapace.toml");
  EXPECT_EQ(notes_of(karapace_json({"build", "a/karapace.toml"})),
            fmt::format("name 'a' moves here from {}, which stays as it is\n", short_id()));
}

}  // namespace
}  // namespace karapace::test
