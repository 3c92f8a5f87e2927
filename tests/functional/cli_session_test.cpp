// SPDX-License-Identifier: Apache-2.0
// exec, enter and stop as a caller sees them. The mock backend runs real processes in real namespaces.
#include <signal.h>
#include <unistd.h>

#include <string>

#include "cli_support.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"

namespace karapace::test {
namespace {

using CliSession = CliTest;

TEST_F(CliSession, TheStatusOfTheProgramIsTheStatusOfExec) {
  build_mock("dev");
  EXPECT_EQ(karapace({"exec", "dev", "--", "sh", "-c", "exit 42"}).status, 42);
  EXPECT_EQ(karapace({"exec", "dev", "--", "sh", "-c", "kill -TERM $$"}).status, 143);
  EXPECT_EQ(karapace({"exec", "dev", "--", "no-such-program"}).status, 127);
  EXPECT_EQ(karapace({"exec", "dev", "--", "/etc/passwd"}).status, 126);
}

TEST_F(CliSession, StreamsPassThroughUnchanged) {
  build_mock("dev");
  std::string bytes;
  for (int i = 0; i < 300000; ++i) bytes += static_cast<char>(i * 7);
  const RunResult result = karapace({"exec", "dev", "cat"}, bytes);
  EXPECT_EQ(result.status, 0);
  EXPECT_TRUE(result.out == bytes);
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(karapace({"exec", "dev", "--", "sh", "-c", "echo out; echo err >&2"}).err, "err\n");
}

TEST_F(CliSession, WordsOfTheProgramAreNotOurs) {
  build_mock("dev");
  EXPECT_EQ(karapace_ok({"exec", "dev", "echo", "--json", "--", "-V"}).out, "--json -- -V\n");
  EXPECT_EQ(karapace_ok({"exec", "--", "echo", "here"}).out, "here\n") << "the environment of karapace.toml";
}

TEST_F(CliSession, EnterTakesItsCommandsFromAPipeToo) {
  build_mock("dev");
  const RunResult result = karapace({"enter", "dev", "--", "sh"}, "echo from the shell\nexit 3\n");
  EXPECT_EQ(result.out, "from the shell\n");
  EXPECT_EQ(result.status, 3);
}

TEST_F(CliSession, APipeThatBreaksEndsTheProgramAsAnywhere) {
  build_mock("dev");
  const RunResult result = run_program(
      "bash",
      {"-c", "set -o pipefail; " + karapace_binary() + " exec dev -- yes | head -1; echo ${PIPESTATUS[0]}"});
  EXPECT_EQ(result.out, "y\n141\n") << result.err;
}

TEST_F(CliSession, ALimitOnFileSizesIsToldWithItsFix) {
  build_mock("dev");
  const auto limited = [&](const std::string& words) {
    return run_program("bash", {"-c", "ulimit -f 0; " + karapace_binary() + " " + words});
  };
  const RunResult session = limited("exec dev -- true");
  EXPECT_EQ(session.status, 125) << session.err;
  EXPECT_NE(session.err.find("(EFBIG)"), std::string::npos) << session.err;
  EXPECT_NE(session.err.find("ulimit -f"), std::string::npos) << session.err;
  const RunResult build = limited("--json build --name other");
  EXPECT_EQ(build.status, 1) << build.err;
  const Json error = parse_json(build.out, "standard output").at("error");
  EXPECT_EQ(error.at("code"), "unsupported");
  EXPECT_NE(error.at("fix").get<std::string>().find("ulimit -f"), std::string::npos);
}

TEST_F(CliSession, TheProgramFindsTheSignalOfThatLimitAsTheCallerLeftIt) {
  build_mock("dev");
  const std::string exec = karapace_binary() + " exec dev -- sh -c 'kill -XFSZ $$; exit 7'";
  EXPECT_EQ(run_program("bash", {"-c", exec}).status, 128 + SIGXFSZ);
  EXPECT_EQ(run_program("bash", {"-c", "trap '' XFSZ; " + exec}).status, 7);
}

TEST_F(CliSession, ARunningEnvironmentIsListedRefusesDestructionAndStops) {
  build_mock("dev");
  Pipe input = make_pipe();
  Pipe output = make_pipe();
  ChildProcess session = spawn({.program = karapace_binary(),
                                .arguments = {"exec", "dev", "--", "sh", "-c", "echo ready; read line"},
                                .environment = environment_,
                                .fds = {{input.read_end, 0}, {output.write_end, 1}},
                                .working_directory = project()});
  output.write_end.reset();
  char ready[6] = {};
  ASSERT_EQ(::read(output.read_end.get(), ready, sizeof ready), 6);
  const Json running = karapace_json({"inspect", "dev"});
  EXPECT_EQ(running.at("state"), "Running");
  EXPECT_TRUE(running.at("holder_pid").is_number());
  EXPECT_EQ(karapace_json({"destroy", "dev"}, 1).at("error").at("code"), "conflict");
  EXPECT_NE(karapace_ok({"list"}).out.find(" running "), std::string::npos);
  EXPECT_EQ(karapace_json({"stop", "dev", "--grace", "30"}).at("status"), "stopped");
  EXPECT_EQ(session.wait(), 143);
  EXPECT_EQ(karapace_json({"inspect", "dev"}).at("state"), "Built");
}

}  // namespace
}  // namespace karapace::test
