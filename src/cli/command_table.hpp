// SPDX-License-Identifier: Apache-2.0
// The one description of what the program accepts. The parser, --help, the man pages and the completions all
// read it, so they cannot disagree.
#pragma once

#include <span>
#include <string_view>

namespace karapace::cli {

class Invocation;

/// What a shell offers while the user types a value.
enum class Complete { Nothing, Environment, ManifestFile, Directory, Choices, CommandName };

enum class FlagValue {
  None,      // a switch
  Required,  // --name N or --name=N
  Optional,  // --update or --update=A,B; never takes the next word, so a manifest may follow
};

struct Flag {
  std::string_view name;  // without the dashes
  char short_name = '\0';
  FlagValue value = FlagValue::None;
  std::string_view value_name = {};  // "NAME" as shown in help
  std::string_view summary;
  Complete complete = Complete::Nothing;
  std::string_view choices = {};  // space separated, for Complete::Choices
};

enum class Occurs {
  Once,
  AtMostOnce,
  CommandLine
};  // CommandLine: everything from here on belongs to another program

struct Argument {
  std::string_view name;  // "env", "manifest"
  Occurs occurs = Occurs::Once;
  std::string_view summary;
  Complete complete = Complete::Nothing;
  std::string_view choices = {};
};

struct Example {
  std::string_view command;
  std::string_view explanation;
};

enum class Audience {
  Everyone,
  Completions
};  // Completions: called by completion scripts, not shown to people

struct CommandSpec {
  std::string_view name;
  std::string_view summary;      // one line, no full stop
  std::string_view description;  // paragraphs, separated by an empty line
  std::span<const Argument> arguments;
  std::span<const Flag> flags;
  std::span<const Example> examples;
  std::string_view exit_notes;  // what is particular about its exit status; may be empty
  int (*run)(const Invocation& invocation);
  Audience audience = Audience::Everyone;

  /// True for enter and exec: words after the environment belong to the inner command.
  [[nodiscard]] bool starts_a_program() const noexcept;
};

[[nodiscard]] std::span<const CommandSpec> commands() noexcept;
[[nodiscard]] std::span<const Flag> global_flags() noexcept;
/// Nothing (nullptr) if there is no such command.
[[nodiscard]] const CommandSpec* find_command(std::string_view name) noexcept;

struct ExitStatusNote {
  std::string_view status;
  std::string_view meaning;
};
[[nodiscard]] std::span<const ExitStatusNote> exit_status_notes() noexcept;

struct VariableNote {
  std::string_view name;
  std::string_view meaning;
};
[[nodiscard]] std::span<const VariableNote> variable_notes() noexcept;

}  // namespace karapace::cli
