// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "karapace/base/cancel.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/subprocess.hpp"
#include "karapace/base/text.hpp"

namespace karapace {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kStderrKept = std::size_t{64} * 1024;
constexpr std::size_t kReadBytes = std::size_t{64} * 1024;
// More than a pipe holds, whatever sizes the pieces have.
constexpr int kMaxReadsAfterEnd = 256;
constexpr std::chrono::seconds kGraceTime(2);

/// Writing to a program that has ended raises SIGPIPE, whose default would end us. Blocked for this thread,
/// and what we caused ourselves is taken away again.
class SigpipeBlocked {
 public:
  SigpipeBlocked() noexcept {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  SigpipeBlocked(const SigpipeBlocked&) = delete;
  SigpipeBlocked& operator=(const SigpipeBlocked&) = delete;
  ~SigpipeBlocked() {
    const timespec now{};
    if (!was_pending_) {
      while (sigtimedwait(&pipe_, nullptr, &now) < 0 && errno == EINTR) {
      }
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t pipe_{};
  sigset_t before_{};
  bool was_pending_ = false;
};

/// Milliseconds for poll(2), rounded up so that it does not wake just before the time.
int poll_timeout(Clock::time_point until) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
  return static_cast<int>(std::clamp<decltype(left)>(left, 0, 1'000'000));
}

/// Ends the child and what is left of its group; returns once it is reaped.
void terminate(ChildProcess& child) {
  child.signal_group(SIGTERM);
  child.signal_group(SIGCONT);  // a stopped one would not see TERM
  const auto until = Clock::now() + kGraceTime;
  pollfd ended{child.pidfd().get(), POLLIN, 0};
  while (Clock::now() < until) {
    if (::poll(&ended, 1, poll_timeout(until)) > 0) break;
  }
  child.signal_group(SIGKILL);
  child.wait();
}

/// Cuts stderr into lines for the callback and keeps its end.
class StderrCollector {
 public:
  explicit StderrCollector(const std::function<void(std::string_view)>& on_line) : on_line_(on_line) {}

  void add(std::string_view bytes) {
    kept_ += bytes;
    if (kept_.size() > 2 * kStderrKept) kept_.erase(0, kept_.size() - kStderrKept);
    if (!on_line_) return;
    line_ += bytes;
    std::size_t start = 0;
    for (auto end = line_.find('\n'); end != std::string::npos; end = line_.find('\n', start)) {
      on_line_(std::string_view(line_).substr(start, end - start));
      start = end + 1;
    }
    line_.erase(0, start);
    if (line_.size() > kStderrKept) flush();
  }

  std::string finish() {
    flush();
    if (kept_.size() > kStderrKept) kept_.erase(0, kept_.size() - kStderrKept);
    return std::move(kept_);
  }

 private:
  void flush() {
    if (on_line_ && !line_.empty()) on_line_(line_);
    line_.clear();
  }

  const std::function<void(std::string_view)>& on_line_;
  std::string kept_;
  std::string line_;
};

void set_nonblocking(const UniqueFd& fd) {
  // The description of our end is ours alone: the child does not see the flag.
  if (fd && ::fcntl(fd.get(), F_SETFL, O_NONBLOCK) != 0) throw_errno("make a pipe non-blocking");
}

class Runner {
 public:
  Runner(const Command& command, std::string_view input, const RunLimits& limits, CancelToken* cancel,
         const std::function<void(std::string_view)>& on_stderr_line)
      : command_(command),
        input_(input),
        limits_(limits),
        cancel_(cancel),
        until_(Clock::now() + limits.deadline),
        collector_(on_stderr_line) {}

  RunResult run() {
    if (cancel_ != nullptr) cancel_->check();
    const SigpipeBlocked guard;
    ChildProcess child = start();
    while (step(child)) {
    }
    // Everything it wrote before it ended is in the pipes now. Something it started may keep them open, or
    // even write for ever, so there is no waiting for their end.
    for (int reads = 0; reads < kMaxReadsAfterEnd && read_stdout(child); ++reads) {
    }
    for (int reads = 0; reads < kMaxReadsAfterEnd && read_stderr(); ++reads) {
    }
    result_.status = child.wait();
    result_.err = collector_.finish();
    return std::move(result_);
  }

 private:
  [[nodiscard]] bool is_mapped(int target) const {
    return std::ranges::any_of(command_.fds,
                               [&](const FdMapping& mapping) { return mapping.target == target; });
  }

  ChildProcess start() {
    Command command = command_;
    Pipe to_child;
    Pipe out;
    Pipe err;
    if (!input_.empty() && !is_mapped(STDIN_FILENO)) {
      to_child = make_pipe();
      command.fds.push_back(FdMapping{to_child.read_end, STDIN_FILENO});
    }
    if (!is_mapped(STDOUT_FILENO)) {
      out = make_pipe();
      command.fds.push_back(FdMapping{out.write_end, STDOUT_FILENO});
    }
    if (!is_mapped(STDERR_FILENO)) {
      err = make_pipe();
      command.fds.push_back(FdMapping{err.write_end, STDERR_FILENO});
    }
    stdin_ = std::move(to_child.write_end);
    stdout_ = std::move(out.read_end);
    stderr_ = std::move(err.read_end);
    set_nonblocking(stdin_);
    set_nonblocking(stdout_);
    set_nonblocking(stderr_);
    return spawn(command);
  }

  /// Waits for something to happen and does it. False once the child has ended.
  bool step(ChildProcess& child) {
    const int cancel_fd = cancel_ != nullptr ? cancel_->poll_fd().get() : -1;
    pollfd fds[] = {{child.pidfd().get(), POLLIN, 0},
                    {cancel_fd, POLLIN, 0},
                    {stdout_.get(), POLLIN, 0},
                    {stderr_.get(), POLLIN, 0},
                    {stdin_.get(), POLLOUT, 0}};
    const int ready = ::poll(fds, std::size(fds), poll_timeout(until_));
    if (ready < 0 && errno != EINTR) throw_errno("poll");
    if (cancel_ != nullptr && cancel_->requested()) {
      terminate(child);
      throw Cancelled(cancel_->signal_number());
    }
    if (Clock::now() >= until_) fail_deadline(child);
    if (ready <= 0) return true;
    if (fds[2].revents != 0) read_stdout(child);
    if (fds[3].revents != 0) read_stderr();
    if (fds[4].revents != 0) write_stdin();
    return fds[0].revents == 0;
  }

  [[noreturn]] void fail_deadline(ChildProcess& child) {
    terminate(child);
    throw Error(ErrorCode::External, fmt::format("{} was ended because it took longer than {} ms",
                                                 printable(command_.program), limits_.deadline.count()));
  }

  /// One read. False if there is nothing now; the descriptor is closed at end of file.
  bool read_some(UniqueFd& fd) {
    if (!fd) return false;
    chunk_.resize(kReadBytes);
    const ssize_t got = ::read(fd.get(), chunk_.data(), chunk_.size());
    if (got < 0 && errno == EINTR) return read_some(fd);
    if (got < 0 && errno != EAGAIN) throw_errno("read from a child process");
    if (got == 0) fd.reset();
    chunk_.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    return got > 0;
  }

  bool read_stdout(ChildProcess& child) {
    if (!read_some(stdout_)) return false;
    if (result_.out.size() + chunk_.size() > limits_.max_output_bytes) {
      terminate(child);
      throw Error(
          ErrorCode::InvalidInput,
          fmt::format("{} wrote more than {} bytes", printable(command_.program), limits_.max_output_bytes));
    }
    result_.out += chunk_;
    return true;
  }

  bool read_stderr() {
    if (!read_some(stderr_)) return false;
    collector_.add(chunk_);
    return true;
  }

  void write_stdin() {
    const ssize_t written = ::write(stdin_.get(), input_.data(), input_.size());
    if (written < 0 && (errno == EINTR || errno == EAGAIN)) return;
    // It does not want to read the rest: its exit status tells whether that is right.
    if (written < 0 && errno == EPIPE) input_ = {};
    if (written < 0 && errno != EPIPE) throw_errno("write to a child process");
    if (written > 0) input_.remove_prefix(static_cast<std::size_t>(written));
    if (input_.empty()) stdin_.reset();
  }

  const Command& command_;
  std::string_view input_;
  const RunLimits& limits_;
  CancelToken* cancel_;
  Clock::time_point until_;
  StderrCollector collector_;
  UniqueFd stdin_;
  UniqueFd stdout_;
  UniqueFd stderr_;
  std::string chunk_;
  RunResult result_;
};

}  // namespace

RunResult run(const Command& command, std::string_view input, const RunLimits& limits, CancelToken* cancel,
              const std::function<void(std::string_view)>& on_stderr_line) {
  return Runner(command, input, limits, cancel, on_stderr_line).run();
}

RunResult run_checked(const Command& command, std::string_view input, const RunLimits& limits,
                      CancelToken* cancel, const std::function<void(std::string_view)>& on_stderr_line) {
  RunResult result = run(command, input, limits, cancel, on_stderr_line);
  if (result.status != 0) throw ProcessError(command.program, result.status, std::move(result.err));
  return result;
}

}  // namespace karapace
