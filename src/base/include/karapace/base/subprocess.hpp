// SPDX-License-Identifier: Apache-2.0
// The one way to start a program: posix_spawn, no shell, environment given and not inherited.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "karapace/base/unique_fd.hpp"

namespace karapace {

class CancelToken;

struct FdMapping {
  FdRef source;
  int target;  // the number the child sees
};

struct Command {
  /// Absolute, or a name to look up in the caller's PATH plus /usr/sbin:/sbin.
  std::string program;
  std::vector<std::string> arguments;                            // without argv[0]
  std::vector<std::pair<std::string, std::string>> environment;  // exactly this; nothing is inherited
  /// Besides these the child has no descriptors. 0, 1 and 2 are /dev/null unless mapped.
  std::vector<FdMapping> fds;
  std::optional<std::string> working_directory;
  /// A process group of its own, so that Ctrl-C reaches us and not it.
  bool own_process_group = true;
};

/// The environment a host tool may see: PATH (with sbin), HOME, TMPDIR, LANG=C.UTF-8, proxy variables.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> host_tool_environment();
/// Absolute path of a program on the host, if it is there.
[[nodiscard]] std::optional<std::string> find_program(std::string_view name);

/// Owns a running child through a pidfd. The destructor kills (SIGKILL) and reaps a child nobody waited for.
class ChildProcess {
 public:
  ChildProcess(pid_t pid, UniqueFd pidfd) noexcept;
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ~ChildProcess();

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  [[nodiscard]] FdRef pidfd() const noexcept;
  /// Waits; returns the exit status or 128 + signal.
  int wait();
  [[nodiscard]] std::optional<int> try_wait();
  /// To the process alone; nothing happens once it was waited for.
  void signal(int signal_number) const noexcept;
  /// To its whole process group if it leads one, else as signal().
  void signal_group(int signal_number) const noexcept;

 private:
  void kill_and_reap() noexcept;

  pid_t pid_ = -1;  // -1 once reaped: the number may then belong to somebody else
  UniqueFd pidfd_;
  int status_ = 0;
};

/// Throws SystemError if the program cannot be executed, NotFound if there is none of that name.
/// SIGCHLD is set to its default where it was ignored: exit statuses would be lost otherwise.
[[nodiscard]] ChildProcess spawn(const Command& command);

/// For main only. A write past the limit on file sizes (RLIMIT_FSIZE) then fails with EFBIG, which can be
/// told, instead of ending the process with SIGXFSZ. Programs that we start know nothing of it: spawn gives
/// them the default, replace_process what the caller had.
void ignore_file_size_signal();

/// Replaces this process (execve). Signals stay as they are; descriptors without O_CLOEXEC are passed on.
/// Returns only by throwing SystemError. The environment is empty.
[[noreturn]] void replace_process(const std::string& path, const std::vector<std::string>& argv);

struct RunLimits {
  std::size_t max_output_bytes =
      std::size_t{64} * 1024 * 1024;  // of stdout; more is InvalidInput and ends the child
  std::chrono::milliseconds deadline = std::chrono::hours(6);
};
struct RunResult {
  int status = 0;  // exit status, or 128 + signal
  std::string out;
  std::string err;  // the last 64 KiB
};
/// Runs to the end, stdin from `input`, capturing both streams. Each complete line of stderr is also given to
/// `on_stderr_line`. It ends with the program, even if something that it started still holds the streams.
/// Streams that `command` maps itself are left alone. Past the deadline: External. When `cancel` fires the
/// child is ended (TERM, then KILL) and Cancelled is thrown.
[[nodiscard]] RunResult run(const Command& command, std::string_view input = {}, const RunLimits& limits = {},
                            CancelToken* cancel = nullptr,
                            const std::function<void(std::string_view)>& on_stderr_line = {});
/// Like run, but a status other than 0 throws ProcessError.
RunResult run_checked(const Command& command, std::string_view input = {}, const RunLimits& limits = {},
                      CancelToken* cancel = nullptr,
                      const std::function<void(std::string_view)>& on_stderr_line = {});

}  // namespace karapace
