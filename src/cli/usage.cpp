// SPDX-License-Identifier: Apache-2.0
#include "usage.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace karapace::cli {

namespace {

constexpr std::size_t kColumns = 100;
constexpr std::size_t kLabelColumns = 26;

/// A label on the left, its text wrapped on the right.
std::string entry(std::string_view label, std::string_view text) {
  const std::string body = wrapped(text, kLabelColumns + 2, kColumns);
  if (label.size() + 4 > kLabelColumns + 2) return fmt::format("  {}\n{}\n", label, body);
  // The first line already begins with the indent: the label takes its place.
  return fmt::format("  {:<{}}{}\n", label, kLabelColumns, body.substr(kLabelColumns + 2));
}

std::string flag_section(std::string_view title, std::span<const Flag> flags) {
  if (flags.empty()) return {};
  std::string text = fmt::format("\n{}:\n", title);
  for (const Flag& flag : flags) {
    // Long names line up whether or not there is a short one.
    text += entry(flag.short_name == '\0' ? "    " + flag_label(flag) : flag_label(flag), flag.summary);
  }
  return text;
}

std::string example_section(std::span<const Example> examples) {
  if (examples.empty()) return {};
  std::string text = "\nExamples:\n";
  for (const Example& example : examples) {
    text += fmt::format("  {}\n{}\n", example.command, wrapped(example.explanation, 6, kColumns));
  }
  return text;
}

}  // namespace

std::string wrapped(std::string_view text, std::size_t indent, std::size_t columns) {
  std::string result(indent, ' ');
  std::size_t used = indent;
  bool line_start = true;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(" \n"), text.size());
    const std::string_view word = text.substr(0, end);
    if (!word.empty()) {
      if (!line_start && used + 1 + word.size() > columns) {
        result += "\n" + std::string(indent, ' ');
        used = indent;
        line_start = true;
      }
      if (!line_start) result += ' ';
      used += word.size() + (line_start ? 0 : 1);
      result += word;
      line_start = false;
    }
    if (end < text.size() && text[end] == '\n') {
      result += "\n";
      if (text.substr(end + 1, 1) != "\n") result += std::string(indent, ' ');
      used = indent;
      line_start = true;
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return result;
}

std::string flag_label(const Flag& flag) {
  std::string label = flag.short_name == '\0' ? fmt::format("--{}", flag.name)
                                              : fmt::format("-{}, --{}", flag.short_name, flag.name);
  if (flag.value == FlagValue::Required) label += fmt::format(" <{}>", flag.value_name);
  if (flag.value == FlagValue::Optional) label += fmt::format("[=<{}>]", flag.value_name);
  return label;
}

std::string synopsis(const CommandSpec& command) {
  std::string text = fmt::format("karapace {}{}", command.name, command.flags.empty() ? "" : " [FLAGS]");
  for (const Argument& argument : command.arguments) {
    switch (argument.occurs) {
      case Occurs::Once:
        text += fmt::format(" <{}>", argument.name);
        break;
      case Occurs::AtMostOnce:
        text += fmt::format(" [{}]", argument.name);
        break;
      case Occurs::CommandLine:
        text += command.name == "exec" ? fmt::format(" [--] <{}>...", argument.name)
                                       : fmt::format(" [[--] <{}>...]", argument.name);
        break;
    }
  }
  return text;
}

std::string program_help() {
  std::string text =
      "karapace: the same Linux environment for everyone who has the same lock file\n\n"
      "Usage:\n  karapace [FLAGS] <command> [ARGUMENTS]\n\nCommands:\n";
  for (const CommandSpec& command : commands()) {
    if (command.audience == Audience::Everyone) text += entry(command.name, command.summary);
  }
  text += flag_section("Flags for every command, before or after it", global_flags());
  text += "\nEnvironment variables:\n";
  for (const VariableNote& variable : variable_notes()) text += entry(variable.name, variable.meaning);
  text += "\nExit status:\n";
  for (const ExitStatusNote& note : exit_status_notes()) text += entry(note.status, note.meaning);
  text +=
      "\nExamples:\n"
      "  karapace new dev --template debian-dev    write a manifest\n"
      "  karapace build --name dev                 build it, and lock what was built\n"
      "  karapace enter dev                        open a shell inside\n"
      "  karapace exec dev -- make                 run one program inside\n"
      "\n'karapace help <command>' explains a command.\n";
  return text;
}

std::string command_help(const CommandSpec& command) {
  std::string text = fmt::format("{}\n\nUsage:\n  {}\n", command.summary, synopsis(command));
  if (!command.description.empty()) text += fmt::format("\n{}\n", wrapped(command.description, 0, kColumns));
  if (!command.arguments.empty()) {
    text += "\nArguments:\n";
    for (const Argument& argument : command.arguments)
      text += entry(fmt::format("<{}>", argument.name), argument.summary);
  }
  text += flag_section("Flags", command.flags);
  text += flag_section("Flags for every command", global_flags());
  text += example_section(command.examples);
  if (!command.exit_notes.empty())
    text += fmt::format("\nExit status:\n{}\n", wrapped(command.exit_notes, 2, kColumns));
  return text;
}

}  // namespace karapace::cli
