// SPDX-License-Identifier: Apache-2.0
#include "terminal.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "karapace/base/cancel.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"

namespace karapace::cli {

namespace {

constexpr std::size_t kMaxAnswerBytes = 4096;

bool set_and_not_empty(const char* variable) noexcept {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

bool is_continuation(char byte) noexcept { return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U; }

/// Waits for standard input. Throws Cancelled.
void wait_for_input() {
  CancelToken& cancel = CancelToken::process();
  for (;;) {
    cancel.check();
    struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0},
                           {.fd = cancel.poll_fd().get(), .events = POLLIN, .revents = 0}};
    const int ready = ::poll(fds, 2, -1);
    if (ready < 0 && errno != EINTR) throw_errno("poll");
    if (ready > 0 && fds[1].revents == 0) return;
  }
}

}  // namespace

bool is_terminal(Stream stream) noexcept { return ::isatty(static_cast<int>(stream)) == 1; }

bool wants_colour(Stream stream) noexcept {
  const char* term = std::getenv("TERM");
  return is_terminal(stream) && !set_and_not_empty("NO_COLOR") && term != nullptr &&
         std::string_view(term) != "dumb";
}

std::size_t terminal_columns() noexcept {
  struct winsize size {};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

void ensure_standard_streams() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0) continue;
    // Lower numbers are open by now, so this gets exactly `fd`. It stays open across exec: the inner program
    // needs it.
    UniqueFd null = open_path("/dev/null", O_RDWR);
    KARAPACE_ASSERT(null.get() == fd);
    if (::fcntl(null.release(), F_SETFD, 0) != 0) throw_errno("fcntl");
  }
}

void ignore_broken_pipes() noexcept { static_cast<void>(std::signal(SIGPIPE, SIG_IGN)); }

void write_stderr(std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

std::string coloured(std::string_view text, std::string_view sgr, bool enabled) {
  return enabled ? fmt::format("\x1b[{}m{}\x1b[0m", sgr, text) : std::string(text);
}

std::size_t display_width(std::string_view text) noexcept {
  std::size_t columns = 0;
  for (const char byte : text) {
    if (!is_continuation(byte)) ++columns;
  }
  return columns;
}

std::string_view clip(std::string_view text, std::size_t columns) noexcept {
  std::size_t end = 0;
  for (std::size_t used = 0; end < text.size(); ++end) {
    if (is_continuation(text[end])) continue;
    if (used == columns) break;
    ++used;
  }
  return text.substr(0, end);
}

std::string padded(std::string_view text, std::size_t columns) {
  std::string result(text);
  const std::size_t width = display_width(text);
  if (width < columns) result.append(columns - width, ' ');
  return result;
}

std::optional<std::string> ask(std::string_view question) {
  write_stderr(question);
  std::string line;
  for (;;) {
    wait_for_input();
    char byte = '\0';
    // One byte at a time: what follows the line belongs to whoever reads next.
    const ssize_t got = ::read(STDIN_FILENO, &byte, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_errno("reading the answer");
    if (got == 0) {
      write_stderr("\n");
      return line.empty() ? std::nullopt : std::optional(line);
    }
    if (byte == '\n') return line;
    if (line.size() == kMaxAnswerBytes) throw Error(ErrorCode::InvalidInput, "the answer is too long");
    line.push_back(byte);
  }
}

bool confirm(std::string_view question) {
  const std::optional<std::string> answer = ask(question);
  return answer && (*answer == "y" || *answer == "Y" || *answer == "yes" || *answer == "Yes");
}

}  // namespace karapace::cli
