// SPDX-License-Identifier: Apache-2.0
// From argv to an Invocation.
//
// The words are first split without interpreting them: the command word, the words that are ours, and the
// words that belong to the inner program of enter and exec. Only ours are given to CLI11, with the flags of
// that one command, so an inner `--json` stays where it is and nothing is built for commands that were not
// called.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "command_table.hpp"
#include "karapace/base/error.hpp"

namespace karapace::cli {

/// Wrong usage. `command` is where help is found; nullptr: the program as a whole.
class UsageError : public Error {
 public:
  UsageError(const CommandSpec* command, std::string message, std::string fix = {})
      : Error(ErrorCode::InvalidInput, std::move(message), std::move(fix)), command_(command) {}
  [[nodiscard]] const CommandSpec* command() const noexcept { return command_; }

 private:
  const CommandSpec* command_;
};

/// The words of a command line, not yet interpreted.
struct SplitLine {
  std::optional<std::string> command;  // the first word that is no flag and no value of a flag
  std::vector<std::string> ours;       // flags and arguments, the command word removed
  bool separated = false;              // there was a "--"
  std::vector<std::string> tail;       // after "--", or from the inner program on
};
[[nodiscard]] SplitLine split_line(const std::vector<std::string>& words);

struct GivenFlag {
  std::string_view name;
  std::vector<std::string> values;  // empty for a switch
};

/// One call of the program, checked against the table.
class Invocation {
 public:
  const CommandSpec* command = nullptr;  // nullptr: only --help or --version, or nothing at all
  std::vector<std::string> arguments;  // in the order of the table; those that may be left out may be missing
  std::vector<std::string> program;    // enter, exec: the inner command
  std::vector<GivenFlag> flags;        // those that were given

  [[nodiscard]] bool has(std::string_view flag) const noexcept;
  [[nodiscard]] std::optional<std::string> value(std::string_view flag) const;
  [[nodiscard]] std::vector<std::string> values(std::string_view flag) const;
  [[nodiscard]] std::optional<std::string> argument(std::size_t index) const;
  [[nodiscard]] bool json() const noexcept { return has("json"); }
};

/// Throws UsageError.
[[nodiscard]] Invocation parse_command_line(const std::vector<std::string>& words);

/// True if the words ask for JSON, found without a full parse: errors of the parse are JSON, too.
[[nodiscard]] bool asks_for_json(const std::vector<std::string>& words);
/// True if these words call enter or exec, whose own failures have other exit codes.
[[nodiscard]] bool calls_a_program(const std::vector<std::string>& words);

}  // namespace karapace::cli
