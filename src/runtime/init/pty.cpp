// SPDX-License-Identifier: Apache-2.0
#include "pty.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "karapace/base/error.hpp"
#include "kernel.hpp"

namespace karapace::init {
namespace {

void write_quietly(int fd, std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;  // the terminal is gone: nobody reads it
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

Pty open_pty() {
  UniqueFd master(check(::open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW),
                        "open a terminal in the environment"));
  struct statfs info {};
  check(::fstatfs(master.get(), &info), "open a terminal in the environment");
  if (info.f_type != DEVPTS_SUPER_MAGIC)
    throw Error(ErrorCode::Unsupported, "the environment's /dev/pts is not a devpts file system");
  int unlock = 0;
  check(::ioctl(master.get(), TIOCSPTLCK, &unlock), "unlock the terminal");
  // By descriptor: no name that somebody inside could exchange.
  UniqueFd slave(check(::ioctl(master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC),
                       "open the other side of the terminal"));
  termios settings{};
  if (::tcgetattr(STDIN_FILENO, &settings) == 0)
    check(::tcsetattr(slave.get(), TCSANOW, &settings), "set up the terminal");
  return Pty{std::move(master), std::move(slave)};
}

RawTerminal::RawTerminal(std::string_view prologue, std::string epilogue) : epilogue_(std::move(epilogue)) {
  is_terminal_ = ::tcgetattr(STDIN_FILENO, &saved_) == 0;
  announced_ = ::isatty(STDERR_FILENO) == 1;
  if (announced_) write_quietly(STDERR_FILENO, prologue);
  make_raw();
}

RawTerminal::~RawTerminal() {
  restore();
  if (announced_) write_quietly(STDERR_FILENO, epilogue_);
}

void RawTerminal::make_raw() noexcept {
  if (!is_terminal_) return;
  termios raw = saved_;
  ::cfmakeraw(&raw);
  ::tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
}

void RawTerminal::restore() noexcept {
  if (is_terminal_) ::tcsetattr(STDIN_FILENO, TCSADRAIN, &saved_);
}

Relay::Relay(UniqueFd master) : master_(std::move(master)), input_is_terminal_(::isatty(STDIN_FILENO) == 1) {
  copy_window_size();
}

void Relay::copy_window_size() noexcept {
  winsize size{};
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::ioctl(stream, TIOCGWINSZ, &size) == 0) {
      ::ioctl(master_.get(), TIOCSWINSZ, &size);
      return;
    }
  }
}

Relay::Progress Relay::fill(int fd, Buffer& buffer) {
  const ssize_t count = ::read(fd, buffer.bytes, sizeof buffer.bytes);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return Progress::None;
  // EIO: the last process closed the terminal, or ours was hung up.
  if (count <= 0) return Progress::End;
  buffer.begin = 0;
  buffer.end = static_cast<std::size_t>(count);
  return Progress::Some;
}

Relay::Progress Relay::flush(int fd, Buffer& buffer) {
  const ssize_t count = ::write(fd, buffer.bytes + buffer.begin, buffer.end - buffer.begin);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return Progress::None;
  if (count < 0) return Progress::End;
  buffer.begin += static_cast<std::size_t>(count);
  return Progress::Some;
}

/// A terminal in raw mode has an end only when it is hung up. The end of anything else is the end-of-file
/// character, once.
Relay::State Relay::end_input() {
  input_open_ = false;
  if (input_is_terminal_) return State::HungUp;
  termios settings{};
  if (::tcgetattr(master_.get(), &settings) != 0) return State::Open;
  input_.bytes[0] = static_cast<char>(settings.c_cc[VEOF]);
  input_.begin = 0;
  input_.end = 1;
  return State::Open;
}

Relay::State Relay::step(FdRef wake_fd) {
  if (!master_open_) return State::Closed;
  // A side is asked for exactly what can be done with it; with nothing to ask, poll(2) skips a negative
  // number.
  const bool want_input = input_open_ && input_.empty();
  const bool want_output = output_.empty();
  short master_events = want_output ? POLLIN : 0;
  if (!input_.empty()) master_events |= POLLOUT;
  pollfd fds[] = {{wake_fd.get(), POLLIN, 0},
                  {want_input ? STDIN_FILENO : -1, POLLIN, 0},
                  {master_events != 0 ? master_.get() : -1, master_events, 0},
                  {!want_output ? STDOUT_FILENO : -1, POLLOUT, 0}};
  if (poll_long(fds, 4) < 0) {
    if (errno != EINTR) throw_errno("wait for the terminal");
    return State::Open;
  }
  State state = State::Open;
  if (want_input && fds[1].revents != 0 && fill(STDIN_FILENO, input_) == Progress::End) state = end_input();
  if (!input_.empty() && (fds[2].revents & (POLLOUT | POLLERR | POLLHUP)) != 0 &&
      flush(master_.get(), input_) == Progress::End)
    input_.begin = input_.end;
  if (want_output && (fds[2].revents & (POLLIN | POLLERR | POLLHUP)) != 0 &&
      fill(master_.get(), output_) == Progress::End)
    master_open_ = false;
  if (!output_.empty() && fds[3].revents != 0 && flush(STDOUT_FILENO, output_) == Progress::End)
    output_open_ = false;
  // Nobody reads it any more; what the programs write must not make them wait.
  if (!output_open_) output_.begin = output_.end;
  return state;
}

void Relay::drain() {
  // Bounded: a program that was left behind may write for ever.
  constexpr int kMostReads = 64;
  for (int reads = 0; output_open_ && reads < kMostReads; ++reads) {
    if (output_.empty() && (!master_open_ || fill(master_.get(), output_) != Progress::Some)) return;
    while (!output_.empty() && output_open_) {
      pollfd out{STDOUT_FILENO, POLLOUT, 0};
      ::poll(&out, 1, -1);
      if (flush(STDOUT_FILENO, output_) == Progress::End) output_open_ = false;
    }
  }
}

}  // namespace karapace::init
