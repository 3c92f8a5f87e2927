// SPDX-License-Identifier: Apache-2.0
// What is wrong with the machine, the store or a file in an environment: told with what to do about it, and
// with the status that says whose matter it is.
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "cli_support.hpp"
#include "karapace/base/file_at.hpp"

namespace karapace::test {
namespace {

namespace fs = std::filesystem;

class CliTrouble : public CliTest {
 protected:
  /// The error of a command that must fail with this status; it must have a fix that names `fix`.
  Json expect_fix(const std::vector<std::string>& words, int status, const std::string& fix) {
    const Json error = karapace_json(words, status).at("error");
    EXPECT_NE(error.at("fix").get<std::string>().find(fix), std::string::npos) << error.dump(2);
    return error;
  }
  static void expect_message(const Json& error, const std::string& part) {
    EXPECT_NE(error.at("message").get<std::string>().find(part), std::string::npos) << error.dump(2);
  }
  [[nodiscard]] std::string upper(const std::string& id) const { return store() + "/env/" + id + "/upper"; }
};

TEST_F(CliTrouble, AFullDiskIsToldWithTheStoreThatIsOnIt) {
  write_mock_manifest();
  environment_.emplace_back("KARAPACE_FAULT", "20:ENOSPC");
  const Json error = expect_fix({"build"}, 1, "karapace gc");
  environment_.pop_back();
  EXPECT_EQ(error.at("code"), "no_space");
  expect_message(error, store());
}

TEST_F(CliTrouble, AFullDiskBehindStandardOutputIsNotTheStores) {
  build_mock("dev");
  const RunResult result = run_program("bash", {"-c", karapace_binary() + " list > /dev/full"});
  EXPECT_EQ(result.status, 1);
  EXPECT_NE(result.err.find("standard output: "), std::string::npos) << result.err;
  EXPECT_EQ(result.err.find("karapace gc"), std::string::npos) << result.err;
}

TEST_F(CliTrouble, TooFewOpenFilesAreToldAsThat) {
  const std::string id = build_mock("dev");
  std::ofstream(upper(id) + "/drift") << "work";
  const RunResult result =
      run_program("bash", {"-c", "ulimit -n 20; " + karapace_binary() + " export dev -o out.tar"});
  EXPECT_EQ(result.status, 1) << result.err;
  EXPECT_NE(result.err.find("ulimit -n 1024"), std::string::npos) << result.err;
}

TEST_F(CliTrouble, ADirectoryOfSomethingElseIsNoStoreWithoutEnvironments) {
  std::filesystem::create_directory(project() + "/other");
  write("other/file", "mine");
  const std::string other = project() + "/other";
  for (const char* command : {"list", "gc"})
    EXPECT_EQ(expect_fix({"--store", other, command}, 1, "KARAPACE_STORE").at("code"), "not_found");
  const RunResult doctor = karapace({"--store", other, "doctor"});
  EXPECT_NE(doctor.status, 0);
  EXPECT_NE(doctor.out.find("is not a Karapace store"), std::string::npos) << doctor.out;
  EXPECT_EQ(read("other/file"), "mine");
}

TEST_F(CliTrouble, AStoreWhoseVersionIsLostIsToldAsThatByDoctorAndListToo) {
  build_mock("dev");
  std::filesystem::remove(store() + "/store/version");
  EXPECT_EQ(expect_fix({"list"}, 3, "write that into the file").at("code"), "corrupt");
  const RunResult doctor = karapace({"doctor"});
  EXPECT_NE(doctor.status, 0);
  EXPECT_NE(doctor.out.find("/store/version"), std::string::npos) << doctor.out;
}

TEST_F(CliTrouble, PlacesThatAreNotThereAreToldWithWhatToName) {
  EXPECT_EQ(expect_fix({"man-pages", "/proc/x"}, 1, "directory").at("code"), "not_found");
  EXPECT_EQ(expect_fix({"bundle", "import", "x"}, 1, "karapace bundle export").at("code"), "not_found");
  build_mock("dev");
  for (const char* output : {"/nonexistent/x.tar", "/nonexistent/x"})
    EXPECT_EQ(expect_fix({"export", "dev", "-o", output}, 1, "another place").at("code"), "not_found");
}

TEST_F(CliTrouble, WhatAnArchivedEnvironmentNeedsIsUnarchive) {
  build_mock("dev");
  karapace_ok({"commit", "dev"});
  karapace_ok({"archive", "dev"});
  for (const char* verb : {"commit", "freeze", "thaw"}) expect_fix({verb, "dev"}, 1, "karapace unarchive ");
}

TEST_F(CliTrouble, ANameThatIsTakenAndAStopOfNothingSayWhatIsPossible) {
  build_mock("dev");
  fs::remove(project() + "/karapace.lock");
  write_mock_manifest("'git'", "other.toml");
  karapace_ok({"build", "other.toml", "--name", "other"});
  expect_fix({"rename", "other", "dev"}, 1, "karapace rename ");
  expect_fix({"stop", "dev"}, 1, "karapace list");
  expect_fix({"qqqqqqqq"}, 2, "karapace --help");
}

TEST_F(CliTrouble, ASocketInAnEnvironmentIsNoWrongUsage) {
  const std::string id = build_mock("dev");
  // Its whole path is too long for an address.
  ASSERT_EQ(run_program("python3", {"-c",
                                    "import socket,sys,os; os.chdir(sys.argv[1]); "
                                    "socket.socket(socket.AF_UNIX).bind('socket')",
                                    upper(id)})
                .status,
            0);
  const Json error = expect_fix({"commit", "dev"}, 1, "Delete it");
  EXPECT_EQ(error.at("code"), "conflict");
  expect_message(error, "socket");
}

TEST_F(CliTrouble, APathThatIsTooLongForALayerIsNamedAndNoWrongUsage) {
  const std::string id = build_mock("dev");
  const UniqueFd top = open_path(upper(id), O_RDONLY | O_DIRECTORY);
  UniqueFd inner = duplicate(top);
  const std::string name(200, 'n');
  for (int depth = 0; depth < 25; ++depth) {
    make_directory_at(inner, name, 0755);
    inner = open_directory(inner, name);
  }
  for (const char* verb : {"commit", "diff"}) {
    SCOPED_TRACE(verb);
    const Json error = expect_fix({verb, "dev"}, 1, "shorter path");
    expect_message(error, "nnnn");
    EXPECT_LT(error.at("message").get<std::string>().size(), 1000U);
  }
  remove_tree_at(top, name);
}

TEST_F(CliTrouble, AFileInPlaceOfAnUpperDirectoryIsDamage) {
  const std::string id = build_mock("dev");
  fs::remove_all(upper(id));
  std::ofstream(upper(id)) << "planted";
  for (const char* verb : {"commit", "diff"})
    expect_message(expect_fix({verb, "dev"}, 3, "Move away"), "upper");
}

TEST_F(CliTrouble, ADirectoryOfTheStoreThatIsNoneIsNamed) {
  const std::string id = build_mock("dev");
  const std::vector<std::pair<std::string, std::vector<std::string>>> cases = {
      {"names", {"rename", "dev", "other"}}, {"wal", {"commit", "dev"}}, {"staging", {"commit", "dev"}}};
  for (const auto& [name, words] : cases) {
    SCOPED_TRACE(name);
    std::ofstream(upper(id) + "/drift") << name;
    const std::string directory = store() + "/store/" + name;
    fs::rename(directory, project() + "/" + name);
    fs::create_directory_symlink(project() + "/" + name, directory);
    expect_message(expect_fix(words, 3, "mkdir -m 700 " + directory), directory + " is a symbolic link");
    fs::remove(directory);
    expect_message(expect_fix(words, 3, "mkdir -m 700 " + directory), directory + " is missing");
    fs::create_directory(directory);
    karapace_ok(words);
    karapace_ok({"rename", id, "dev"});
    EXPECT_EQ(karapace_json({"verify-store"}).at("failed"), 0);
  }
}

TEST_F(CliTrouble, DoctorSaysThatAStoreMayNotBeWritten) {
  build_mock("dev");
  const auto writable = [&] {
    const Json report = parse_json(karapace({"--json", "doctor"}).out, "doctor");
    for (const Json& check : report.at("checks")) {
      if (check.at("name") == "store_writable") return check;
    }
    return Json();
  };
  EXPECT_EQ(writable().at("status"), "pass");
  if (::geteuid() == 0) return;  // to root every directory is writable
  fs::permissions(store() + "/store", fs::perms::owner_write, fs::perm_options::remove);
  EXPECT_EQ(writable().at("status"), "fail");
  EXPECT_NE(writable().at("fix").get<std::string>().find("chmod"), std::string::npos);
  fs::permissions(store() + "/store", fs::perms::owner_write, fs::perm_options::add);
}

}  // namespace
}  // namespace karapace::test
