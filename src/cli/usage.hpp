// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "command_table.hpp"

namespace karapace::cli {

/// "karapace build [FLAGS] [manifest]"
[[nodiscard]] std::string synopsis(const CommandSpec& command);
/// "-v, --verbose", "--store <PATH>", "--update[=<PKG,...>]"
[[nodiscard]] std::string flag_label(const Flag& flag);
/// What `karapace --help` and `karapace help` print.
[[nodiscard]] std::string program_help();
/// What `karapace COMMAND --help` prints.
[[nodiscard]] std::string command_help(const CommandSpec& command);
/// Text broken at spaces so that no line is longer than `columns`; every line begins with `indent` spaces.
[[nodiscard]] std::string wrapped(std::string_view text, std::size_t indent, std::size_t columns);

}  // namespace karapace::cli
