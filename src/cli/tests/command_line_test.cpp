// SPDX-License-Identifier: Apache-2.0
#include "command_line.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace karapace::cli {
namespace {

using Words = std::vector<std::string>;

std::string usage_error(const Words& words) {
  try {
    static_cast<void>(parse_command_line(words));
  } catch (const UsageError& error) {
    return error.message() + (error.fix().empty() ? "" : " | " + error.fix());
  }
  return "no error";
}

TEST(CommandLine, GlobalFlagsMayStandBeforeAndAfterTheCommand) {
  for (const Words& words :
       {Words{"--store", "/s", "--json", "inspect", "dev"}, Words{"inspect", "--store=/s", "dev", "--json"},
        Words{"inspect", "dev", "--json", "--store", "/s"}}) {
    const Invocation invocation = parse_command_line(words);
    ASSERT_NE(invocation.command, nullptr);
    EXPECT_EQ(invocation.command->name, "inspect");
    EXPECT_EQ(invocation.value("store"), "/s");
    EXPECT_TRUE(invocation.json());
    EXPECT_EQ(invocation.arguments, Words{"dev"});
  }
}

TEST(CommandLine, TheValueOfAFlagIsNotTheCommand) {
  const Invocation invocation = parse_command_line({"--store", "build", "list"});
  EXPECT_EQ(invocation.command->name, "list");
  EXPECT_EQ(invocation.value("store"), "build");
}

TEST(CommandLine, WordsAfterTheSeparatorBelongToTheInnerProgram) {
  const Invocation invocation = parse_command_line({"exec", "dev", "--", "ls", "--json", "--", "-V"});
  EXPECT_EQ(invocation.arguments, Words{"dev"});
  EXPECT_EQ(invocation.program, (Words{"ls", "--json", "--", "-V"}));
  EXPECT_FALSE(invocation.json());
}

TEST(CommandLine, TheInnerProgramMayFollowTheEnvironmentWithoutSeparator) {
  const Invocation invocation =
      parse_command_line({"exec", "--root", "dev", "-T", "grep", "--json", "--", "-h"});
  EXPECT_EQ(invocation.arguments, Words{"dev"});
  EXPECT_EQ(invocation.program, (Words{"grep", "--json", "--", "-h"}));
  EXPECT_TRUE(invocation.has("root"));
  EXPECT_TRUE(invocation.has("no-tty"));
  EXPECT_FALSE(invocation.has("help"));
}

TEST(CommandLine, ExecWithoutEnvironmentNeedsTheSeparator) {
  const Invocation invocation = parse_command_line({"exec", "--", "make", "-j2"});
  EXPECT_TRUE(invocation.arguments.empty());
  EXPECT_EQ(invocation.program, (Words{"make", "-j2"}));
}

TEST(CommandLine, UpdateNeverTakesTheManifest) {
  const Invocation all = parse_command_line({"build", "--update", "x.toml"});
  EXPECT_TRUE(all.has("update"));
  EXPECT_TRUE(all.values("update").empty());
  EXPECT_EQ(all.arguments, Words{"x.toml"});
  const Invocation some = parse_command_line({"build", "--update=git,curl", "--update=make"});
  EXPECT_EQ(some.values("update"), (Words{"git,curl", "make"}));
}

TEST(CommandLine, ShortFlagsMayBeJoined) {
  const Invocation invocation = parse_command_line({"exec", "-vT", "dev", "true"});
  EXPECT_TRUE(invocation.has("verbose"));
  EXPECT_TRUE(invocation.has("no-tty"));
}

TEST(CommandLine, ASeparatorLetsAnEnvironmentBeginWithADash) {
  EXPECT_EQ(parse_command_line({"inspect", "--", "-odd"}).arguments, Words{"-odd"});
}

TEST(CommandLine, TheLastValueOfARepeatedFlagCounts) {
  EXPECT_EQ(parse_command_line({"list", "--store", "/a", "--store", "/b"}).value("store"), "/b");
}

TEST(CommandLine, SuggestsTheNearestCommandAndFlag) {
  EXPECT_EQ(usage_error({"biuld"}), "unknown command 'biuld' | did you mean 'build'?");
  EXPECT_EQ(usage_error({"build", "--lockd"}), "unknown flag '--lockd' | did you mean --locked?");
  EXPECT_EQ(usage_error({"build", "--ofline=yes"}), "unknown flag '--ofline=yes' | did you mean --offline?");
  EXPECT_EQ(usage_error({"--stroe", "/x", "list"}), "unknown command '/x' | karapace --help lists them");
}

TEST(CommandLine, RefusesMissingEmptyAndSurplusArguments) {
  EXPECT_EQ(usage_error({"destroy"}), "missing argument <env>");
  EXPECT_EQ(usage_error({"rename", "dev"}), "missing argument <new_name>");
  EXPECT_EQ(usage_error({"destroy", ""}), "argument <env> is empty");
  EXPECT_EQ(usage_error({"list", "dev"}), "unexpected argument 'dev'");
}

TEST(CommandLine, RefusesAFlagWithoutItsValue) { EXPECT_NE(usage_error({"build", "--name"}), "no error"); }

TEST(CommandLine, ControlCharactersInAWrongWordAreEscaped) {
  EXPECT_EQ(usage_error({"ls\x1b[2J"}), "unknown command 'ls\\x1b[2J' | karapace --help lists them");
}

TEST(CommandLine, JsonIsFoundEvenIfTheRestIsWrong) {
  EXPECT_TRUE(asks_for_json({"build", "--nonsense", "--json"}));
  EXPECT_FALSE(asks_for_json({"exec", "dev", "--", "tool", "--json"}));
}

TEST(CommandLine, OnlyEnterAndExecCallAProgram) {
  EXPECT_TRUE(calls_a_program({"--store", "/s", "exec"}));
  EXPECT_TRUE(calls_a_program({"enter", "--wrong"}));
  EXPECT_FALSE(calls_a_program({"build", "exec"}));
}

}  // namespace
}  // namespace karapace::cli
