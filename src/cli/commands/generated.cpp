// SPDX-License-Identifier: Apache-2.0
// completions, man-pages and help: what is made from the command table.
#include <fcntl.h>
#include <fmt/format.h>

#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "command_line.hpp"
#include "commands/commands.hpp"
#include "completion.hpp"
#include "karapace/base/durable.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/json.hpp"
#include "man_page.hpp"
#include "output.hpp"
#include "store_trouble.hpp"
#include "usage.hpp"

namespace karapace::cli {

int run_completions(const Invocation& invocation) {
  const std::string shell = invocation.argument(0).value();
  const std::string script = completion_script(shell);
  if (invocation.json()) {
    print_json({{"script", script}, {"shell", shell}});
  } else {
    write_stdout(script);
  }
  return 0;
}

int run_man_pages(const Invocation& invocation) {
  const std::string path = invocation.argument(0).value_or("man");
  std::error_code failure;
  std::filesystem::create_directories(path, failure);
  if (failure) {
    SystemError error(failure.value(), fmt::format("make the directory \"{}\"", printable(path, 4096)));
    if (error.fix().empty()) error.set_fix("Name a directory that you can make.");
    throw SystemError(std::move(error));
  }
  const UniqueFd dir = open_path(path, O_RDONLY | O_DIRECTORY);
  OrderedJson files = OrderedJson::array();
  for (const ManPage& page : man_pages()) {
    writing_outside(path, [&] { replace_file(dir, page.file_name, page.content, 0644); });
    files.push_back(page.file_name);
  }
  if (invocation.json()) {
    print_json({{"directory", printable(path, 4096)}, {"files", files}});
  } else {
    write_stdout(printable(path, 4096) + "\n");
  }
  return 0;
}

int run_help(const Invocation& invocation) {
  const std::optional<std::string> name = invocation.argument(0);
  const CommandSpec* command = name ? find_command(*name) : nullptr;
  if (name && command == nullptr) {
    throw UsageError(nullptr, fmt::format("unknown command '{}'", printable(*name)),
                     "karapace help lists them");
  }
  const std::string text = command != nullptr ? command_help(*command) : program_help();
  if (invocation.json()) {
    print_json({{"help", text}});
  } else {
    write_stdout(text);
  }
  return 0;
}

}  // namespace karapace::cli
