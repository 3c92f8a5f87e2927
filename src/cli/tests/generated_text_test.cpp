// SPDX-License-Identifier: Apache-2.0
// Help, manual pages and completions against the table they come from.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "command_table.hpp"
#include "completion.hpp"
#include "karapace/base/error.hpp"
#include "karapace/schema/preset.hpp"
#include "man_page.hpp"
#include "usage.hpp"

namespace karapace::cli {
namespace {

std::string longest_line(const std::string& text) {
  std::string longest;
  std::size_t start = 0;
  while (start < text.size()) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    if (end - start > longest.size()) longest = text.substr(start, end - start);
    start = end + 1;
  }
  return longest;
}

TEST(CommandTable, NamesAndFlagsAreUniqueWithinACommand) {
  std::set<std::string_view> names;
  for (const CommandSpec& command : commands()) {
    EXPECT_TRUE(names.insert(command.name).second) << command.name;
    std::set<std::string> flags;
    const auto check = [&](const Flag& flag) {
      EXPECT_TRUE(flags.insert(std::string(flag.name)).second) << command.name << " --" << flag.name;
      if (flag.short_name != '\0') {
        EXPECT_TRUE(flags.insert(std::string(1, flag.short_name)).second)
            << command.name << " -" << flag.short_name;
      }
      EXPECT_FALSE(flag.summary.empty());
      EXPECT_EQ(flag.value != FlagValue::None, !flag.value_name.empty());
    };
    std::ranges::for_each(global_flags(), check);
    std::ranges::for_each(command.flags, check);
  }
}

TEST(CommandTable, EveryCommandForPeopleHasAnExample) {
  for (const CommandSpec& command : commands()) {
    if (command.audience == Audience::Everyone) {
      EXPECT_FALSE(command.examples.empty()) << command.name;
    }
  }
}

TEST(CommandTable, TemplateChoicesAreTheTemplatesThatExist) {
  std::string expected;
  for (const Preset& preset : templates())
    expected += (expected.empty() ? "" : " ") + std::string(preset.name);
  const CommandSpec* command = find_command("new");
  ASSERT_NE(command, nullptr);
  EXPECT_EQ(std::ranges::find(command->flags, "template", &Flag::name)->choices, expected);
}

TEST(Help, NamesEveryFlagAndArgumentAndFitsOnAScreen) {
  for (const CommandSpec& command : commands()) {
    const std::string help = command_help(command);
    for (const Flag& flag : command.flags)
      EXPECT_NE(help.find(flag_label(flag)), std::string::npos) << flag.name;
    for (const Argument& argument : command.arguments) {
      EXPECT_NE(help.find("<" + std::string(argument.name) + ">"), std::string::npos);
    }
    EXPECT_LE(longest_line(help).size(), 100U) << longest_line(help);
  }
}

TEST(Help, OfTheProgramListsEveryCommandForPeopleAndNoOther) {
  const std::string help = program_help();
  for (const CommandSpec& command : commands()) {
    const bool listed = help.find("\n  " + std::string(command.name) + " ") != std::string::npos;
    EXPECT_EQ(listed, command.audience == Audience::Everyone) << command.name;
  }
}

TEST(Help, WrappingKeepsParagraphsAndBreaksAtSpaces) {
  EXPECT_EQ(wrapped("aa bb cc", 2, 7), "  aa bb\n  cc");
  EXPECT_EQ(wrapped("one\n\ntwo", 1, 20), " one\n\n two");
  EXPECT_EQ(wrapped("unbreakable", 0, 4), "unbreakable");
}

TEST(ManPages, ThereIsOnePerCommandAndEachNamesItsFlags) {
  const auto pages = man_pages();
  for (const CommandSpec& command : commands()) {
    const std::string file = "karapace-" + std::string(command.name) + ".1";
    const auto page = std::ranges::find(pages, file, &ManPage::file_name);
    ASSERT_EQ(page != pages.end(), command.audience == Audience::Everyone) << file;
    if (page == pages.end()) continue;
    for (const Flag& flag : command.flags) {
      std::string escaped = "\\-\\-";
      for (const char c : flag.name) escaped += c == '-' ? std::string("\\-") : std::string(1, c);
      EXPECT_NE(page->content.find(escaped), std::string::npos) << file << " " << flag.name;
    }
  }
  EXPECT_EQ(pages.front().file_name, "karapace.1");
}

TEST(ManPages, NoLineBeginsWithAnAccidentalRequest) {
  for (const ManPage& page : man_pages()) {
    EXPECT_EQ(page.content.find("\n'"), std::string::npos) << page.file_name;
    for (std::size_t at = page.content.find("\n."); at != std::string::npos;
         at = page.content.find("\n.", at + 1)) {
      const char next = page.content[at + 2];
      EXPECT_TRUE(next == 'S' || next == 'T' || next == 'P')
          << page.file_name << ": " << page.content.substr(at + 1, 20);
    }
  }
}

TEST(Completions, EveryShellKnowsEveryCommandAndAsksForEnvironments) {
  for (const std::string_view shell : {"bash", "zsh", "fish", "elvish", "powershell"}) {
    const std::string script = completion_script(shell);
    for (const CommandSpec& command : commands()) {
      if (command.audience == Audience::Everyone) {
        EXPECT_NE(script.find(command.name), std::string::npos) << shell << " " << command.name;
      }
    }
    EXPECT_NE(script.find("__complete-envs"), std::string::npos) << shell;
    EXPECT_NE(script.find("require-pinned-image"), std::string::npos) << shell;
    EXPECT_NE(script.find("debian-dev"), std::string::npos) << shell;
  }
}

TEST(Completions, RefuseAnUnknownShell) { EXPECT_THROW(static_cast<void>(completion_script("tcsh")), Error); }

}  // namespace
}  // namespace karapace::cli
