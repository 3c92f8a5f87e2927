// SPDX-License-Identifier: Apache-2.0
#include "man_page.hpp"

#include <fmt/format.h>

#include <string_view>

#include "command_table.hpp"
#include "usage.hpp"

namespace karapace::cli {

namespace {

/// Text that roff shows as it is: a hyphen would become a typographic one, and a dot or quote at the start of
/// a line would be a request.
std::string roff(std::string_view text) {
  std::string result;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) result += "\\&";
    switch (c) {
      case '\\':
        result += "\\e";
        break;
      case '-':
        result += "\\-";
        break;
      case '\'':
        result += "\\(aq";
        break;
      case '`':
        result += "\\(ga";
        break;
      case '^':
        result += "\\(ha";
        break;
      case '~':
        result += "\\(ti";
        break;
      default:
        result += c;
    }
    line_start = c == '\n';
  }
  return result;
}

std::string paragraphs(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const std::size_t end = text.find("\n\n");
    result += fmt::format(".PP\n{}\n", roff(text.substr(0, end)));
    text.remove_prefix(end == text.npos ? text.size() : end + 2);
  }
  return result;
}

std::string tagged(std::string_view tag, std::string_view text) {
  return fmt::format(".TP\n\\fB{}\\fR\n{}\n", roff(tag), roff(text));
}

std::string heading(std::string_view page, std::string_view summary) {
  // No date: the same source gives the same bytes.
  return fmt::format(
      ".\\\" SPDX-License-Identifier: Apache-2.0\n.TH {} 1 \"\" \"Karapace {}\" \"Karapace\"\n"
      ".SH NAME\n{} \\- {}\n",
      roff(page), KARAPACE_VERSION, roff(page), roff(summary));
}

std::string flags(std::string_view title, std::span<const Flag> list) {
  if (list.empty()) return {};
  std::string text = fmt::format(".SH {}\n", title);
  for (const Flag& flag : list) text += tagged(flag_label(flag), flag.summary);
  return text;
}

std::string command_page(const CommandSpec& command) {
  std::string text = heading(fmt::format("karapace-{}", command.name), command.summary);
  text += fmt::format(".SH SYNOPSIS\n\\fB{}\\fR\n.SH DESCRIPTION\n", roff(synopsis(command)));
  text += command.description.empty() ? fmt::format("{}.\n", roff(command.summary))
                                      : paragraphs(command.description);
  if (!command.arguments.empty()) {
    text += ".SH ARGUMENTS\n";
    for (const Argument& argument : command.arguments) {
      text += tagged(fmt::format("<{}>", argument.name), argument.summary);
    }
  }
  text += flags("OPTIONS", command.flags);
  text += flags("GLOBAL OPTIONS", global_flags());
  if (!command.examples.empty()) {
    text += ".SH EXAMPLES\n";
    for (const Example& example : command.examples) text += tagged(example.command, example.explanation);
  }
  text += ".SH EXIT STATUS\n";
  if (!command.exit_notes.empty()) text += fmt::format("{}\n.PP\n", roff(command.exit_notes));
  text += "See \\fBkarapace\\fR(1).\n.SH SEE ALSO\n\\fBkarapace\\fR(1)\n";
  return text;
}

std::string program_page() {
  std::string text =
      heading("karapace", "the same Linux environment for everyone who has the same lock file");
  text += ".SH SYNOPSIS\n\\fBkarapace\\fR [FLAGS] <command> [ARGUMENTS]\n.SH DESCRIPTION\n";
  text += roff(
      "Karapace builds Linux environments from a manifest, karapace.toml, and pins everything that went in "
      "by hash in a "
      "lock file beside it. Building from the same lock gives the same bytes on every machine. Environments "
      "run without "
      "root rights and without a daemon.\n");
  text += ".SH COMMANDS\n";
  for (const CommandSpec& command : commands()) {
    if (command.audience != Audience::Everyone) continue;
    text += fmt::format(".TP\n\\fBkarapace\\-{}\\fR(1)\n{}\n", roff(command.name), roff(command.summary));
  }
  text += flags("OPTIONS", global_flags());
  text += ".SH ENVIRONMENT\n";
  for (const VariableNote& variable : variable_notes()) text += tagged(variable.name, variable.meaning);
  text += ".SH EXIT STATUS\n";
  for (const ExitStatusNote& note : exit_status_notes()) text += tagged(note.status, note.meaning);
  return text;
}

}  // namespace

std::vector<ManPage> man_pages() {
  std::vector<ManPage> pages;
  pages.push_back({.file_name = "karapace.1", .content = program_page()});
  for (const CommandSpec& command : commands()) {
    if (command.audience != Audience::Everyone) continue;
    pages.push_back(
        {.file_name = fmt::format("karapace-{}.1", command.name), .content = command_page(command)});
  }
  return pages;
}

}  // namespace karapace::cli
