// SPDX-License-Identifier: Apache-2.0
#include "pager.hpp"

#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/subprocess.hpp"
#include "output.hpp"
#include "terminal.hpp"

namespace karapace::cli {
namespace {

std::vector<std::string> pager_words() {
  const char* pager = std::getenv("PAGER");  // NOLINT(concurrency-mt-unsafe): nothing here calls setenv
  std::istringstream stream(pager == nullptr ? "less" : pager);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(std::move(word));
  if (words.size() == 1 && words.front() == "cat") words.clear();
  return words;
}

/// The pager is the user's own program: it gets all the user has set.
std::vector<std::pair<std::string, std::string>> pager_environment() {
  std::vector<std::pair<std::string, std::string>> result;
  bool has_less = false;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text(*entry);
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) continue;
    has_less = has_less || text.starts_with("LESS=");
    result.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  // Colours, no pager for one page, and what was shown stays on the screen.
  if (!has_less) result.emplace_back("LESS", "FRX");
  return result;
}

}  // namespace

void write_paged(std::string_view text) {
  const std::vector<std::string> words = pager_words();
  if (!is_terminal(Stream::Out) || words.empty() || !find_program(words.front())) return write_stdout(text);
  Pipe pipe = make_pipe();
  Command command;
  command.program = words.front();
  command.arguments.assign(words.begin() + 1, words.end());
  command.environment = pager_environment();
  command.own_process_group = false;  // it reads keys from the terminal
  command.fds = {{pipe.read_end, STDIN_FILENO},
                 {FdRef::from_raw(STDOUT_FILENO), STDOUT_FILENO},
                 {FdRef::from_raw(STDERR_FILENO), STDERR_FILENO}};
  ChildProcess pager = spawn(command);
  pipe.read_end.reset();
  try {
    write_all(pipe.write_end, text);
  } catch (const SystemError& error) {
    if (error.error_number() != EPIPE) throw;  // whoever reads has seen enough
  }
  pipe.write_end.reset();
  pager.wait();
}

}  // namespace karapace::cli
