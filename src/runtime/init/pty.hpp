// SPDX-License-Identifier: Apache-2.0
// A pseudo-terminal of the environment, and the relay between it and the caller's terminal.
#pragma once

#include <string>

#include <termios.h>

#include "karapace/base/unique_fd.hpp"

namespace karapace::init {

struct Pty {
  UniqueFd master;
  UniqueFd slave;
};
/// From the devpts of the mount namespace we are in. Takes over the caller's terminal settings and window
/// size.
[[nodiscard]] Pty open_pty();

/// The caller's terminal, in raw mode while this lives (if it is one). `prologue` and `epilogue` go to it
/// around the session.
class RawTerminal {
 public:
  RawTerminal(std::string_view prologue, std::string epilogue);
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
  ~RawTerminal();
  void make_raw() noexcept;
  void restore() noexcept;

 private:
  std::string epilogue_;
  termios saved_{};
  bool is_terminal_ = false;
  bool announced_ = false;
};

/// Carries bytes both ways. Neither side blocks the other, and nothing is lost when a write takes only a
/// part.
class Relay {
 public:
  explicit Relay(UniqueFd master);

  enum class State {
    Open,
    HungUp,  // the caller's terminal has just gone: the session is to be told
    Closed,  // the terminal inside is gone
  };
  /// Waits until something can be carried or `wake_fd` is readable, and carries it.
  State step(FdRef wake_fd);
  /// Carries what the programs inside have written so far, without waiting for them.
  void drain();
  void copy_window_size() noexcept;

 private:
  struct Buffer {
    char bytes[16 * 1024];
    std::size_t begin = 0;
    std::size_t end = 0;
    [[nodiscard]] bool empty() const noexcept { return begin == end; }
  };
  enum class Progress { Some, None, End };
  static Progress fill(int fd, Buffer& buffer);
  static Progress flush(int fd, Buffer& buffer);
  State end_input();

  UniqueFd master_;
  Buffer input_;   // from the caller to the environment
  Buffer output_;  // and back
  bool input_is_terminal_ = false;
  bool input_open_ = true;
  bool output_open_ = true;
  bool master_open_ = true;
};

}  // namespace karapace::init
