// SPDX-License-Identifier: Apache-2.0
#include "command_line.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <deque>

#include "karapace/base/json.hpp"
#include "karapace/schema/manifest.hpp"

namespace karapace::cli {

namespace {

bool looks_like_flag(std::string_view word) { return word.size() > 1 && word.front() == '-'; }

/// True for "--store": the next word is its value and not a word of its own.
bool takes_next_word(std::string_view word, std::span<const Flag> flags) {
  return std::ranges::any_of(flags, [&](const Flag& flag) {
    return flag.value == FlagValue::Required && word.starts_with("--") && word.substr(2) == flag.name;
  });
}

std::vector<std::string_view> flag_names(const CommandSpec* command) {
  std::vector<std::string_view> names;
  for (const Flag& flag : global_flags()) names.push_back(flag.name);
  if (command != nullptr) {
    for (const Flag& flag : command->flags) names.push_back(flag.name);
  }
  return names;
}

UsageError unknown_flag(const CommandSpec* command, const std::string& word) {
  std::string fix;
  if (word.starts_with("--")) {
    const std::string name =
        word.substr(2, word.find('=') == std::string::npos ? word.npos : word.find('=') - 2);
    const std::string nearest = nearest_name(name, flag_names(command));
    if (!nearest.empty()) fix = fmt::format("did you mean --{}?", nearest);
  }
  return UsageError(command, fmt::format("unknown flag '{}'", printable(word)), std::move(fix));
}

UsageError unknown_command(const std::string& word) {
  std::vector<std::string_view> names;
  for (const CommandSpec& command : commands()) {
    if (command.audience == Audience::Everyone) names.push_back(command.name);
  }
  const std::string nearest = nearest_name(word, names);
  return UsageError(nullptr, fmt::format("unknown command '{}'", printable(word)),
                    nearest.empty() ? std::string("karapace --help lists them")
                                    : fmt::format("did you mean '{}'?", nearest));
}

/// Where CLI11 puts what it finds. The addresses must not move while it parses.
struct FlagSlot {
  const Flag* flag = nullptr;
  CLI::Option* option = nullptr;
  std::int64_t count = 0;
  std::string value;
  std::vector<std::string> values;
};

std::string cli11_names(const Flag& flag) {
  return flag.short_name == '\0' ? fmt::format("--{}", flag.name)
                                 : fmt::format("-{},--{}", flag.short_name, flag.name);
}

void add_flag(CLI::App& app, std::deque<FlagSlot>& slots, const Flag& flag) {
  FlagSlot& slot = slots.emplace_back();
  slot.flag = &flag;
  switch (flag.value) {
    case FlagValue::None:
      slot.option = app.add_flag(cli11_names(flag), slot.count);
      break;
    case FlagValue::Required:
      slot.option = app.add_option(cli11_names(flag), slot.value)
                        ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast)
                        ->type_name(std::string(flag.value_name));
      break;
    case FlagValue::Optional:
      slot.option = app.add_flag(cli11_names(flag), slot.values);
      break;
  }
}

GivenFlag given(const FlagSlot& slot) {
  GivenFlag result{.name = slot.flag->name, .values = {}};
  if (slot.flag->value == FlagValue::Required) result.values.push_back(slot.value);
  if (slot.flag->value == FlagValue::Optional) {
    // CLI11 says "true" for a flag without a value.
    for (const std::string& value : slot.values) {
      if (value != "true") result.values.push_back(value);
    }
  }
  return result;
}

/// "--update=$PACKAGE" with an unset variable must not mean everything; for CLI11 it is "--update".
void refuse_empty_values(const SplitLine& line, const CommandSpec* command) {
  if (command == nullptr) return;
  for (const Flag& flag : command->flags) {
    if (flag.value != FlagValue::Optional) continue;
    if (std::ranges::find(line.ours, fmt::format("--{}=", flag.name)) != line.ours.end())
      throw UsageError(command, fmt::format("--{} is empty after its equals sign", flag.name));
  }
}

/// Runs CLI11 over our words; returns those that are no flags.
std::vector<std::string> parse_flags(const SplitLine& line, const CommandSpec* command, Invocation& result) {
  refuse_empty_values(line, command);
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  std::deque<FlagSlot> slots;
  for (const Flag& flag : global_flags()) add_flag(app, slots, flag);
  if (command != nullptr) {
    for (const Flag& flag : command->flags) add_flag(app, slots, flag);
  }
  try {
    app.parse(std::vector<std::string>(line.ours.rbegin(), line.ours.rend()));
  } catch (const CLI::ParseError& error) {
    throw UsageError(command, printable(error.what(), 400));
  }
  std::vector<std::string> words;
  for (std::string& word : app.remaining()) {
    if (looks_like_flag(word)) throw unknown_flag(command, word);
    words.push_back(std::move(word));
  }
  for (const FlagSlot& slot : slots) {
    // --json=false is a switch that was not given.
    if (slot.option->count() == 0 || (slot.flag->value == FlagValue::None && slot.count <= 0)) continue;
    result.flags.push_back(given(slot));
  }
  return words;
}

void assign_arguments(const CommandSpec& command, std::vector<std::string> words, Invocation& result) {
  std::size_t limit = 0;
  std::size_t needed = 0;
  for (const Argument& argument : command.arguments) {
    if (argument.occurs == Occurs::CommandLine) continue;
    ++limit;
    if (argument.occurs == Occurs::Once) ++needed;
  }
  if (words.size() > limit) {
    throw UsageError(&command, fmt::format("unexpected argument '{}'", printable(words[limit])));
  }
  if (words.size() < needed) {
    throw UsageError(&command, fmt::format("missing argument <{}>", command.arguments[words.size()].name));
  }
  for (std::size_t i = 0; i < words.size(); ++i) {
    // An unset shell variable must not silently mean "the environment of this directory".
    if (words[i].empty()) {
      throw UsageError(&command, fmt::format("argument <{}> is empty", command.arguments[i].name));
    }
  }
  result.arguments = std::move(words);
}

}  // namespace

SplitLine split_line(const std::vector<std::string>& words) {
  SplitLine line;
  const CommandSpec* command = nullptr;
  std::size_t seen = 0;  // arguments of enter and exec
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const bool is_flag = looks_like_flag(word);
    const bool inner_program = !is_flag && command != nullptr && command->starts_a_program() && seen == 1;
    if (word == "--" || inner_program) {
      line.separated = word == "--";
      line.tail.assign(words.begin() + static_cast<std::ptrdiff_t>(i) + (line.separated ? 1 : 0),
                       words.end());
      return line;
    }
    if (!is_flag && !line.command) {
      line.command = word;
      command = find_command(word);
      continue;
    }
    line.ours.push_back(word);
    if (!is_flag) ++seen;
    const bool has_value = takes_next_word(word, global_flags()) ||
                           (command != nullptr && takes_next_word(word, command->flags));
    if (has_value && i + 1 < words.size()) line.ours.push_back(words[++i]);
  }
  return line;
}

Invocation parse_command_line(const std::vector<std::string>& words) {
  const SplitLine line = split_line(words);
  Invocation result;
  if (line.command) {
    result.command = find_command(*line.command);
    if (result.command == nullptr) throw unknown_command(*line.command);
  }
  std::vector<std::string> arguments = parse_flags(line, result.command, result);
  if (result.command == nullptr || result.has("help") || result.has("version")) return result;
  if (result.command->starts_a_program()) {
    result.program = line.tail;
  } else {
    arguments.insert(arguments.end(), line.tail.begin(), line.tail.end());
  }
  assign_arguments(*result.command, std::move(arguments), result);
  return result;
}

bool asks_for_json(const std::vector<std::string>& words) {
  const std::vector<std::string> ours = split_line(words).ours;
  return std::ranges::find(ours, "--json") != ours.end();
}

bool calls_a_program(const std::vector<std::string>& words) {
  const SplitLine line = split_line(words);
  const CommandSpec* command = line.command ? find_command(*line.command) : nullptr;
  return command != nullptr && command->starts_a_program();
}

bool Invocation::has(std::string_view flag) const noexcept {
  return std::ranges::find(flags, flag, &GivenFlag::name) != flags.end();
}

std::vector<std::string> Invocation::values(std::string_view flag) const {
  const auto found = std::ranges::find(flags, flag, &GivenFlag::name);
  return found == flags.end() ? std::vector<std::string>{} : found->values;
}

std::optional<std::string> Invocation::value(std::string_view flag) const {
  std::vector<std::string> all = values(flag);
  if (all.empty()) return std::nullopt;
  return std::move(all.back());
}

std::optional<std::string> Invocation::argument(std::size_t index) const {
  if (index >= arguments.size()) return std::nullopt;
  return arguments[index];
}

}  // namespace karapace::cli
