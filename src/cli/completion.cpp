// SPDX-License-Identifier: Apache-2.0
// One generator per shell. They all say the same: commands, their flags, and for each value or argument what
// it is.
#include "completion.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "command_table.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/json.hpp"

namespace karapace::cli {

namespace {

std::vector<const CommandSpec*> visible_commands() {
  std::vector<const CommandSpec*> result;
  for (const CommandSpec& command : commands()) {
    if (command.audience == Audience::Everyone) result.push_back(&command);
  }
  return result;
}

std::string command_names() {
  std::string names;
  for (const CommandSpec* command : visible_commands())
    names += fmt::format("{}{}", names.empty() ? "" : " ", command->name);
  return names;
}

std::string replaced(std::string_view text, std::string_view characters, std::string_view before) {
  std::string result;
  for (const char c : text) {
    if (characters.find(c) != characters.npos) result += before;
    result += c;
  }
  return result;
}

/// 'text' for zsh: the quote is closed, written, and opened again.
std::string zsh_quoted(std::string_view text) {
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}
std::string fish_quoted(std::string_view text) { return fmt::format("'{}'", replaced(text, "\\'", "\\")); }
/// elvish and PowerShell double the quote.
std::string doubled_quoted(std::string_view text) { return fmt::format("'{}'", replaced(text, "'", "'")); }

std::string flag_words(std::span<const Flag> flags) {
  std::string words;
  for (const Flag& flag : flags) {
    if (flag.short_name != '\0') words += fmt::format(" -{}", flag.short_name);
    words += fmt::format(" --{}", flag.name);
  }
  return words.empty() ? words : words.substr(1);
}

/// "--store|--name|..." of every command: their next word is a value.
std::string value_flags(std::string_view separator) {
  std::vector<std::string_view> names;
  const auto collect = [&](std::span<const Flag> flags) {
    for (const Flag& flag : flags) {
      if (flag.value == FlagValue::Required && std::ranges::find(names, flag.name) == names.end())
        names.push_back(flag.name);
    }
  };
  collect(global_flags());
  for (const CommandSpec* command : visible_commands()) collect(command->flags);
  std::string result;
  for (const std::string_view name : names)
    result += fmt::format("{}--{}", result.empty() ? "" : separator, name);
  return result;
}

// bash
// ---------------------------------------------------------------------------------------------------------------

std::string bash_values(Complete complete, std::string_view choices) {
  switch (complete) {
    case Complete::Nothing:
      return "return";
    case Complete::Environment:
      return "COMPREPLY=($(compgen -W \"$(\"$program\" __complete-envs 2>/dev/null)\" -- \"$cur\"))";
    case Complete::ManifestFile:
      return "COMPREPLY=($(compgen -f -X '!*.toml' -- \"$cur\") $(compgen -d -- \"$cur\"))";
    case Complete::Directory:
      return "COMPREPLY=($(compgen -d -- \"$cur\"))";
    case Complete::Choices:
      return fmt::format("COMPREPLY=($(compgen -W '{}' -- \"$cur\"))", choices);
    case Complete::CommandName:
      return fmt::format("COMPREPLY=($(compgen -W '{}' -- \"$cur\"))", command_names());
  }
  return "return";
}

void bash_flag_values(std::string& script, std::string_view command, std::span<const Flag> flags) {
  for (const Flag& flag : flags) {
    if (flag.value != FlagValue::Required) continue;
    script += fmt::format("    {}:--{}) {}; return ;;\n", command, flag.name,
                          bash_values(flag.complete, flag.choices));
  }
}

std::string bash_script() {
  std::string script = fmt::format(
      "# SPDX-License-Identifier: Apache-2.0\n# bash completion for karapace\n_karapace() {{\n"
      "  local program=${{COMP_WORDS[0]}} cur=${{COMP_WORDS[COMP_CWORD]}} "
      "prev=${{COMP_WORDS[COMP_CWORD-1]}}\n"
      "  local command= seen=0 separated= i\n  COMPREPLY=()\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n    case ${{COMP_WORDS[i]}} in\n      --) separated=1; "
      "break ;;\n"
      "      {}) i=$((i + 1)) ;;\n      -*) ;;\n"
      "      *) if [[ -z $command ]]; then command=${{COMP_WORDS[i]}}; else seen=$((seen + 1)); fi ;;\n    "
      "esac\n  done\n"
      "  if [[ $command == @(enter|exec) && ( $separated || $seen -gt 1 ) ]]; then\n"
      "    COMPREPLY=($(compgen -c -- \"$cur\") $(compgen -f -- \"$cur\")); return\n  fi\n"
      "  case $command:$prev in\n",
      value_flags("|"));
  for (const CommandSpec* command : visible_commands())
    bash_flag_values(script, command->name, command->flags);
  bash_flag_values(script, "*", global_flags());
  script += fmt::format("  esac\n  if [[ $cur == -* ]]; then\n    local flags='{}'\n    case $command in\n",
                        flag_words(global_flags()));
  for (const CommandSpec* command : visible_commands()) {
    if (!command->flags.empty())
      script += fmt::format("      {}) flags+=' {}' ;;\n", command->name, flag_words(command->flags));
  }
  script += fmt::format(
      "    esac\n    COMPREPLY=($(compgen -W \"$flags\" -- \"$cur\")); return\n  fi\n  case $command:$seen "
      "in\n"
      "    :*) COMPREPLY=($(compgen -W '{}' -- \"$cur\")) ;;\n",
      command_names());
  for (const CommandSpec* command : visible_commands()) {
    for (std::size_t i = 0; i < command->arguments.size(); ++i) {
      const Argument& argument = command->arguments[i];
      if (argument.complete == Complete::Nothing) continue;
      script += fmt::format("    {}:{}) {} ;;\n", command->name, i,
                            bash_values(argument.complete, argument.choices));
    }
  }
  return script + "  esac\n}\ncomplete -F _karapace karapace\n";
}

// zsh
// ----------------------------------------------------------------------------------------------------------------

std::string zsh_action(Complete complete, std::string_view choices) {
  switch (complete) {
    case Complete::Nothing:
      return " ";
    case Complete::Environment:
      return "_karapace_environments";
    case Complete::ManifestFile:
      return "_files -g \"*.toml\"";
    case Complete::Directory:
      return "_files -/";
    case Complete::Choices:
      return fmt::format("({})", choices);
    case Complete::CommandName:
      return fmt::format("({})", command_names());
  }
  return " ";
}

std::string zsh_flag(const Flag& flag) {
  const std::string text = fmt::format("[{}]", replaced(flag.summary, "\\[]:", "\\"));
  const std::string value =
      fmt::format(":{}:{}", replaced(flag.value_name, ":", "\\"), zsh_action(flag.complete, flag.choices));
  std::string names = fmt::format("--{}", flag.name);
  if (flag.value == FlagValue::Required) names += "=";
  if (flag.value == FlagValue::Optional) names += "=-";
  const std::string tail = text + (flag.value == FlagValue::Required   ? value
                                   : flag.value == FlagValue::Optional ? ":" + value
                                                                       : "");
  std::string result = zsh_quoted(names + tail);
  if (flag.short_name != '\0') result += " " + zsh_quoted(fmt::format("-{}{}", flag.short_name, tail));
  return result;
}

std::string zsh_argument(const Argument& argument, std::size_t position) {
  if (argument.occurs == Occurs::CommandLine) return zsh_quoted("*::command:_normal");
  const std::string colons = argument.occurs == Occurs::AtMostOnce ? "::" : ":";
  return zsh_quoted(fmt::format("{}{}{}:{}", position + 1, colons, argument.name,
                                zsh_action(argument.complete, argument.choices)));
}

std::string zsh_script() {
  std::string script =
      "#compdef karapace\n# SPDX-License-Identifier: Apache-2.0\n\n_karapace_environments() {\n"
      "  local -a environments\n"
      "  environments=(${(f)\"$(_call_program environments karapace __complete-envs 2>/dev/null)\"})\n"
      "  compadd -a environments\n}\n\n_karapace() {\n  local -a commands globals\n  local state line\n  "
      "typeset -A opt_args\n"
      "  commands=(\n";
  for (const CommandSpec* command : visible_commands()) {
    script += fmt::format(
        "    {}\n", zsh_quoted(fmt::format("{}:{}", command->name, replaced(command->summary, ":", "\\"))));
  }
  script += "  )\n  globals=(\n";
  for (const Flag& flag : global_flags()) script += fmt::format("    {}\n", zsh_flag(flag));
  script +=
      "  )\n  _arguments -C $globals '1:command:->command' '*::argument:->argument' && return\n"
      "  case $state in\n    command) _describe -t commands command commands ;;\n    argument)\n      case "
      "$line[1] in\n";
  for (const CommandSpec* command : visible_commands()) {
    script += fmt::format("        {}) _arguments $globals", command->name);
    for (const Flag& flag : command->flags) script += " \\\n          " + zsh_flag(flag);
    for (std::size_t i = 0; i < command->arguments.size(); ++i) {
      script += " \\\n          " + zsh_argument(command->arguments[i], i);
    }
    script += " ;;\n";
  }
  return script +
         "      esac ;;\n  esac\n}\n\n"
         "if [[ $funcstack[1] == _karapace ]]; then _karapace \"$@\"; else compdef _karapace karapace; fi\n";
}

// fish
// ---------------------------------------------------------------------------------------------------------------

std::string fish_values(Complete complete, std::string_view choices) {
  switch (complete) {
    case Complete::Nothing:
      return " -f";
    case Complete::Environment:
      return " -f -a '(karapace __complete-envs 2>/dev/null)'";
    case Complete::ManifestFile:
      return " -F";
    case Complete::Directory:
      return " -f -a '(__fish_complete_directories)'";
    case Complete::Choices:
      return fmt::format(" -f -a '{}'", choices);
    case Complete::CommandName:
      return fmt::format(" -f -a '{}'", command_names());
  }
  return {};
}

std::string fish_flag(const Flag& flag, std::string_view condition) {
  std::string line = fmt::format("complete -c karapace{} -l {}", condition, flag.name);
  if (flag.short_name != '\0') line += fmt::format(" -s {}", flag.short_name);
  if (flag.value == FlagValue::Required) line += " -r" + fish_values(flag.complete, flag.choices);
  return line + fmt::format(" -d {}\n", fish_quoted(flag.summary));
}

std::string fish_script() {
  std::string script =
      "# SPDX-License-Identifier: Apache-2.0\n# fish completion for karapace\ncomplete -c karapace -f\n";
  for (const Flag& flag : global_flags()) script += fish_flag(flag, "");
  for (const CommandSpec* command : visible_commands()) {
    script += fmt::format("complete -c karapace -n __fish_use_subcommand -a {} -d {}\n", command->name,
                          fish_quoted(command->summary));
  }
  for (const CommandSpec* command : visible_commands()) {
    const std::string condition = fmt::format(" -n '__fish_seen_subcommand_from {}'", command->name);
    for (const Flag& flag : command->flags) script += fish_flag(flag, condition);
    if (!command->arguments.empty() && command->arguments[0].complete != Complete::Nothing) {
      const Argument& argument = command->arguments[0];
      script += fmt::format("complete -c karapace{}{}\n", condition,
                            fish_values(argument.complete, argument.choices));
    }
  }
  return script;
}

// elvish and PowerShell: lists of words by command
// ---------------------------------------------------------------------

bool takes_environment(const CommandSpec& command) {
  return !command.arguments.empty() && command.arguments[0].complete == Complete::Environment;
}

std::string elvish_script() {
  std::string script =
      "# SPDX-License-Identifier: Apache-2.0\n# elvish completion for karapace\nuse str\n"
      "set edit:completion:arg-completer[karapace] = {|@words|\n"
      "  fn item {|word text| edit:complex-candidate $word &display=$word'  '$text }\n"
      "  var command = ''\n  for word $words[1..-1] {\n"
      "    if (and (eq $command '') (not (str:has-prefix $word '-'))) { set command = $word }\n  }\n"
      "  var flags = [\n    &''= {\n";
  for (const CommandSpec* command : visible_commands()) {
    script += fmt::format("      item {} {}\n", command->name, doubled_quoted(command->summary));
  }
  script += "    }\n";
  for (const CommandSpec* command : visible_commands()) {
    script += fmt::format("    &{}= {{\n", command->name);
    for (const Flag& flag : command->flags)
      script += fmt::format("      item --{} {}\n", flag.name, doubled_quoted(flag.summary));
    if (takes_environment(*command))
      script += "      try { e:karapace __complete-envs 2>/dev/null } catch e { }\n";
    for (const Argument& argument : command->arguments) {
      if (argument.complete == Complete::Choices) script += fmt::format("      all [{}]\n", argument.choices);
      if (argument.complete == Complete::CommandName)
        script += fmt::format("      all [{}]\n", command_names());
      if (argument.complete == Complete::ManifestFile || argument.complete == Complete::Directory) {
        script += "      edit:complete-filename $words[-1]\n";
      }
    }
    script += "    }\n";
  }
  script += "  ]\n  if (has-key $flags $command) { $flags[$command] }\n";
  for (const Flag& flag : global_flags())
    script += fmt::format("  item --{} {}\n", flag.name, doubled_quoted(flag.summary));
  return script + "}\n";
}

std::string powershell_item(std::string_view word, std::string_view text) {
  return fmt::format(
      "      [System.Management.Automation.CompletionResult]::new({0}, {0}, 'ParameterValue', {1})\n",
      doubled_quoted(word), doubled_quoted(text));
}

std::string powershell_script() {
  std::string script =
      "# SPDX-License-Identifier: Apache-2.0\n# PowerShell completion for karapace\n"
      "Register-ArgumentCompleter -Native -CommandName 'karapace' -ScriptBlock {\n"
      "  param($wordToComplete, $commandAst, $cursorPosition)\n"
      "  $command = $commandAst.CommandElements | Select-Object -Skip 1 | ForEach-Object { $_.ToString() } "
      "|\n"
      "    Where-Object { -not $_.StartsWith('-') -and $_ -ne $wordToComplete } | Select-Object -First 1\n"
      "  $items = @(switch (\"$command\") {\n    '' {\n";
  for (const CommandSpec* command : visible_commands())
    script += powershell_item(command->name, command->summary);
  script += "    }\n";
  for (const CommandSpec* command : visible_commands()) {
    script += fmt::format("    '{}' {{\n", command->name);
    for (const Flag& flag : command->flags)
      script += powershell_item(fmt::format("--{}", flag.name), flag.summary);
    for (const Argument& argument : command->arguments) {
      const std::string words =
          argument.complete == Complete::CommandName ? command_names() : std::string(argument.choices);
      if (!words.empty()) {
        script += fmt::format(
            "      '{}'.Split(' ') | ForEach-Object {{ "
            "[System.Management.Automation.CompletionResult]::new($_) }}\n",
            words);
      }
    }
    if (takes_environment(*command)) {
      script +=
          "      karapace __complete-envs 2>$null | ForEach-Object { "
          "[System.Management.Automation.CompletionResult]::new($_) }\n";
    }
    script += "    }\n";
  }
  script += "  })\n  $items += @(\n";
  for (const Flag& flag : global_flags())
    script += powershell_item(fmt::format("--{}", flag.name), flag.summary);
  return script + "  )\n  $items | Where-Object { $_.CompletionText -like \"$wordToComplete*\" }\n}\n";
}

}  // namespace

std::string completion_script(std::string_view shell) {
  if (shell == "bash") return bash_script();
  if (shell == "zsh") return zsh_script();
  if (shell == "fish") return fish_script();
  if (shell == "elvish") return elvish_script();
  if (shell == "powershell") return powershell_script();
  throw Error(ErrorCode::InvalidInput, fmt::format("no completions for '{}'", printable(shell)),
              "choose bash, elvish, fish, powershell or zsh");
}

}  // namespace karapace::cli
