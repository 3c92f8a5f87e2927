// SPDX-License-Identifier: Apache-2.0
// The program as its callers see it: help, usage, streams, generated files.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include "cli_support.hpp"
#include "karapace/base/file_at.hpp"

namespace karapace::test {
namespace {

using Cli = CliTest;

const std::vector<std::string> kCommands = {"new",    "build",        "rebuild",     "enter",     "exec",
                                            "stop",   "list",         "inspect",     "destroy",   "rename",
                                            "diff",   "export",       "commit",      "snapshots", "restore",
                                            "doctor", "verify-store", "completions", "man-pages", "help"};

TEST_F(Cli, VersionIsOneLine) {
  EXPECT_EQ(karapace_ok({"--version"}).out, "karapace 0.1.0\n");
  EXPECT_EQ(karapace_ok({"-V"}).out, "karapace 0.1.0\n");
  EXPECT_EQ(karapace_json({"--version"}).at("version"), "0.1.0");
}

TEST_F(Cli, HelpIsTheSameThreeWaysAndGoesToStandardOutput) {
  for (const std::string& command : kCommands) {
    const RunResult flag = karapace_ok({command, "--help"});
    EXPECT_NE(flag.out.find("Usage:\n  karapace " + command), std::string::npos) << flag.out;
    EXPECT_NE(flag.out.find("Examples:"), std::string::npos);
    EXPECT_TRUE(flag.err.empty());
    EXPECT_EQ(flag.out, karapace_ok({command, "-h"}).out);
    EXPECT_EQ(flag.out, karapace_ok({"help", command}).out);
  }
  EXPECT_EQ(karapace_ok({"--help"}).out, karapace_ok({"help"}).out);
}

TEST_F(Cli, WithoutACommandItPrintsHelpAndFails) {
  const RunResult result = karapace({});
  EXPECT_EQ(result.status, 2);
  EXPECT_TRUE(result.out.empty());
  EXPECT_NE(result.err.find("Commands:"), std::string::npos);
}

TEST_F(Cli, WrongUsageIsStatusTwoWithASuggestion) {
  const RunResult command = karapace({"biuld"});
  EXPECT_EQ(command.status, 2);
  EXPECT_NE(command.err.find("did you mean 'build'?"), std::string::npos);
  const RunResult flag = karapace({"build", "--lockd"});
  EXPECT_EQ(flag.status, 2);
  EXPECT_NE(flag.err.find("did you mean --locked?"), std::string::npos);
  EXPECT_NE(flag.err.find("usage: karapace build"), std::string::npos);
  EXPECT_TRUE(flag.out.empty());
}

TEST_F(Cli, WrongUsageAsJsonHasItsOwnCode) {
  EXPECT_EQ(karapace_json({"list", "surplus"}, 2).at("error").at("code"), "usage");
  EXPECT_EQ(karapace_json({"no-such-command"}, 2).at("error").at("code"), "usage");
}

TEST_F(Cli, FailuresOfEnterAndExecThemselvesAre125) {
  EXPECT_EQ(karapace({"exec", "nowhere", "--", "true"}).status, 125);
  EXPECT_EQ(karapace({"exec", "--wrong"}).status, 125);
  EXPECT_EQ(karapace({"enter", "nowhere"}).status, 125);
  EXPECT_EQ(karapace_json({"exec", "nowhere", "true"}, 125).at("error").at("code"), "not_found");
}

TEST_F(Cli, AnEmptyEnvironmentNameNeverMeansTheOneOfThisDirectory) {
  const std::string id = build_mock("dev");
  EXPECT_EQ(karapace({"destroy", ""}).status, 2);
  EXPECT_EQ(karapace({"stop", ""}).status, 2);
  EXPECT_EQ(karapace_json({"inspect", "dev"}).at("env_id"), id);
}

TEST_F(Cli, LogsGoToStandardErrorAndLeaveJsonAlone) {
  environment_.emplace_back("KARAPACE_LOG", "trace");
  build_mock("dev", "'git'");
  EXPECT_EQ(karapace_json({"list"}).size(), 1U);
}

TEST_F(Cli, AnUnknownLogLevelIsWrongUsage) {
  environment_.emplace_back("KARAPACE_LOG", "loud");
  const RunResult result = karapace({"list"});
  EXPECT_EQ(result.status, 2);
  EXPECT_NE(result.err.find("KARAPACE_LOG"), std::string::npos);
}

TEST_F(Cli, AVanishedReaderIsNotAnError) {
  // The read end is closed before the program starts, so its first write fails for certain.
  Pipe pipe = make_pipe();
  pipe.read_end.reset();
  const UniqueFd errors = make_sealed_memfd("unused", "");
  ChildProcess child = spawn({.program = karapace_binary(),
                              .arguments = {"help"},
                              .environment = environment_,
                              .fds = {{.source = pipe.write_end, .target = 1}},
                              .working_directory = project()});
  EXPECT_EQ(child.wait(), 0);
}

TEST_F(Cli, AFullOutputIsAnError) {
  const UniqueFd full = open_path("/dev/full", O_WRONLY);
  ChildProcess child = spawn({.program = karapace_binary(),
                              .arguments = {"help"},
                              .environment = environment_,
                              .fds = {{.source = full, .target = 1}},
                              .working_directory = project()});
  EXPECT_EQ(child.wait(), 1);
}

TEST_F(Cli, ReadOnlyCommandsCreateNoStore) {
  karapace_ok({"list"});
  EXPECT_EQ(karapace({"inspect", "dev"}).status, 1);
  EXPECT_EQ(karapace({"stop", "dev"}).status, 1);
  EXPECT_EQ(karapace({"destroy", "dev"}).status, 1);
  karapace_ok({"__complete-envs"});
  EXPECT_EQ(karapace_json({"list"}), Json::array());
  EXPECT_FALSE(std::filesystem::exists(store()));
}

TEST_F(Cli, TheStoreFlagWinsOverTheVariableAndKnowsTheHome) {
  build_mock("dev");
  EXPECT_EQ(karapace_json({"--store", "~/elsewhere", "list"}).size(), 0U);
  EXPECT_EQ(karapace_json({"list", "--store", "~/store"}).size(), 1U);
  EXPECT_EQ(karapace_json({"list", "--store", "../store"}).size(), 1U);
}

TEST_F(Cli, CompletionsParse) {
  const RunResult bash = karapace_ok({"completions", "bash"});
  write("completion.bash", bash.out);
  EXPECT_EQ(run_program("bash", {"-n", "completion.bash"}).status, 0);
  for (const std::string shell : {"zsh", "fish"}) {
    write("completion." + shell, karapace_ok({"completions", shell}).out);
    if (find_program(shell)) {
      EXPECT_EQ(run_program(shell, {"-n", "completion." + shell}).status, 0) << shell;
    }
  }
  EXPECT_EQ(karapace({"completions", "tcsh"}).status, 2);
}

TEST_F(Cli, BashCompletesCommandsFlagsAndEnvironments) {
  build_mock("my-env");
  write("completion.bash", karapace_ok({"completions", "bash"}).out);
  const auto complete = [&](const std::string& words, int index) {
    write("try.bash", fmt::format("source ./completion.bash\nCOMP_WORDS=({})\nCOMP_CWORD={}\n_karapace\n"
                                  "printf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
                                  words, index));
    return run_program("bash", {"try.bash"}).out;
  };
  const std::string program = karapace_binary();
  EXPECT_EQ(complete(program + " reb", 1), "rebuild\n");
  EXPECT_EQ(complete(program + " build --loc", 2), "--locked\n");
  EXPECT_EQ(complete(program + " --store " + store() + " inspect my", 4), "my-env\n");
  EXPECT_EQ(complete(program + " new x --template ubu", 4), "ubuntu-dev\n");
}

TEST_F(Cli, ManualPagesAreWrittenForEveryCommandAndRender) {
  EXPECT_EQ(karapace_ok({"man-pages", "a/man"}).out, "a/man\n");
  const RunResult again = karapace_ok({"man-pages", project() + "/a/man"});
  EXPECT_EQ(again.out, project() + "/a/man\n");
  EXPECT_TRUE(exists("a/man/karapace.1"));
  for (const std::string& command : kCommands) {
    const std::string page = "a/man/karapace-" + command + ".1";
    ASSERT_TRUE(exists(page)) << page;
    if (!find_program("groff")) continue;
    const RunResult rendered = run_program("groff", {"-man", "-Tutf8", "-P-cbou", "-ww", page});
    EXPECT_EQ(rendered.status, 0);
    EXPECT_EQ(rendered.err, "") << page;
    EXPECT_NE(rendered.out.find("EXAMPLES"), std::string::npos);
  }
}

TEST_F(Cli, DoctorHasAllItsChecksAndAFixForEachFailure) {
  const RunResult result = karapace({"--json", "doctor"});
  const Json report = parse_json(result.out, "doctor");
  EXPECT_EQ(result.status, report.at("healthy").get<bool>() ? 0 : 1);
  bool failed = false;
  for (const Json& check : report.at("checks")) {
    EXPECT_FALSE(check.at("name").get<std::string>().empty());
    EXPECT_FALSE(check.at("message").get<std::string>().empty());
    if (check.at("status") == "fail") {
      failed = true;
      EXPECT_FALSE(check.at("fix").get<std::string>().empty()) << check.dump();
    }
  }
  EXPECT_EQ(report.at("healthy").get<bool>(), !failed);
  EXPECT_FALSE(std::filesystem::exists(store())) << "doctor must change nothing";
}

}  // namespace
}  // namespace karapace::test
