// SPDX-License-Identifier: Apache-2.0
// One run of karapace with all the helpers it starts. Each process stops before every mutating call and asks
// here what shall become of it (karapace/base/fault.hpp).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "karapace/base/fault.hpp"
#include "karapace/base/subprocess.hpp"

namespace karapace::lab {

/// A process that stands before a call.
struct Step {
  unsigned long number = 0;  // within the run, from 1
  std::string program;
  std::string operation;
  std::uint64_t inode = 0;  // what is synced or locked
  pid_t pid = 0;
};

/// What may happen at a step.
struct Fault {
  enum class Kind { None, Error, KillCaller, KillLeader, KillAll };
  Kind kind = Kind::None;
  int error_number = 0;
  [[nodiscard]] std::string text() const;  // "ENOSPC", "kill", "kill-leader", "kill-all"
  [[nodiscard]] static Fault parse(const std::string& text);
};
/// What the manual page of a call says it may fail with, where this program may meet it.
[[nodiscard]] const std::vector<int>& errnos_of(const std::string& operation);

class ProcessTree {
 public:
  /// `socket` is a path that does not exist. Environment and directory are those of the run.
  ProcessTree(const std::string& socket, const std::vector<std::string>& words, const std::string& directory,
              std::vector<std::pair<std::string, std::string>> environment);
  ProcessTree(const ProcessTree&) = delete;
  ProcessTree& operator=(const ProcessTree&) = delete;
  ~ProcessTree();

  /// Waits until a process of the tree stands before a call; nothing when the last one is gone. A run that
  /// does neither for half a minute is ended, and hung() is true.
  [[nodiscard]] std::optional<Step> next();
  /// To the process that next() told about.
  void answer(const Fault& fault);
  /// Ends every process of it, in the middle of whatever it does.
  void kill_all();

  [[nodiscard]] int status() const { return status_; }  // 128 + signal; after next() gave nothing
  [[nodiscard]] bool hung() const { return hung_; }
  [[nodiscard]] unsigned long steps() const { return steps_; }
  [[nodiscard]] const ChildProcess& leader() const { return child_; }
  /// What it wrote, to both streams.
  [[nodiscard]] std::string output() const;

 private:
  struct Connection {
    UniqueFd fd;
    pid_t pid = 0;
    std::string program;
  };

  void accept_connection();
  std::optional<Step> read_question(std::size_t index);
  bool poll_once(std::optional<Step>& step);
  void end();

  std::string socket_;
  UniqueFd listener_;
  UniqueFd out_;
  ChildProcess child_;
  std::vector<Connection> connections_;
  std::size_t asking_ = 0;
  unsigned long steps_ = 0;
  int status_ = -1;
  bool ended_ = false;
  bool hung_ = false;
};

/// Of the same build: ../bin/karapace from this program.
[[nodiscard]] std::string karapace_program();
/// The status; nothing after half a minute of this program's own time.
[[nodiscard]] std::optional<int> wait_patiently(ChildProcess& process);
/// For what a run writes.
[[nodiscard]] UniqueFd anonymous_file();
[[nodiscard]] std::string content_of(FdRef file);
/// Whoever is left of runs that were killed must be gone before anybody looks at the store. False if somebody
/// does not go.
bool reap_orphans();
/// Children of children that lost their parent are ours from now on, and waited for when a run ends.
void adopt_orphans();

}  // namespace karapace::lab
