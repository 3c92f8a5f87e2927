// SPDX-License-Identifier: Apache-2.0
#include "karapace/base/fault.hpp"

#ifdef KARAPACE_FAULT_HOOK

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <mutex>
#include <string_view>

#include "karapace/base/error.hpp"

namespace karapace::fault {
namespace {

constexpr int kKill = -1;
constexpr int kMaxErrno = 133;
constexpr std::string_view kLabPrefix = "lab:";

struct Plan {
  unsigned long at = 0;  // the call that fails; 0: none
  bool and_later = false;
  int error_number = 0;  // or kKill
  std::string count_file;
  std::string lab_socket;
};

int errno_from_name(std::string_view name) {
  for (int number = 1; number <= kMaxErrno; ++number) {
    const char* known = strerrorname_np(number);
    if (known != nullptr && name == known) return number;
  }
  return 0;
}

Plan parse(const std::string& spec) {
  Plan plan;
  if (spec.empty()) return plan;
  if (spec.starts_with("count:")) {
    plan.count_file = spec.substr(6);
    return plan;
  }
  if (spec.starts_with(kLabPrefix)) {
    plan.lab_socket = spec.substr(kLabPrefix.size());
    return plan;
  }
  char* end = nullptr;
  plan.at = std::strtoul(spec.c_str(), &end, 10);
  plan.and_later = *end == '+';
  if (plan.and_later) ++end;
  KARAPACE_ASSERT(plan.at > 0 && *end == ':');
  const std::string_view what = end + 1;
  plan.error_number = what == "kill" ? kKill : errno_from_name(what);
  KARAPACE_ASSERT(plan.error_number != 0);
  return plan;
}

struct State {
  std::mutex mutex;
  Plan plan;
  unsigned long calls = 0;
  std::string trace;
  int lab = -1;     // the connection to the lab
  pid_t owner = 0;  // the process that made it: a forked one needs its own
};

void append_count() noexcept;

State& state() {
  // Never destroyed: threads may still write while the process ends.
  static State* const instance = [] {
    auto* made = new State;
    const char* spec = std::getenv("KARAPACE_FAULT");
    if (spec != nullptr) made->plan = parse(spec);
    if (!made->plan.count_file.empty()) std::atexit(append_count);
    return made;
  }();
  return *instance;
}

void append_count() noexcept {
  State& hook = state();
  const std::string line = std::to_string(hook.calls) + "\n";
  const int file = ::open(hook.plan.count_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (file < 0) return;
  [[maybe_unused]] const ssize_t written = ::write(file, line.data(), line.size());
  ::close(file);
}

[[noreturn]] void die() noexcept {
  while (true) ::kill(::getpid(), SIGKILL);
}

int connect_to_lab(const std::string& path) noexcept {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return -1;
  std::ranges::copy(path, address.sun_path);
  const int connection = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (::connect(connection, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
    return connection;
  ::close(connection);
  return -1;
}

/// A lab that is gone has ended this run: whoever is left of it must change nothing any more.
LabAnswer ask_lab(State& hook, const char* operation, int fd) noexcept {
  if (hook.lab < 0 || hook.owner != ::getpid()) {
    hook.lab = connect_to_lab(hook.plan.lab_socket);
    hook.owner = ::getpid();
    if (hook.lab < 0) die();
  }
  LabQuestion question{};
  std::string_view(operation).copy(question.operation, sizeof question.operation - 1);
  struct stat info {};
  if (fd >= 0 && ::fstat(fd, &info) == 0) {
    question.device = info.st_dev;
    question.inode = info.st_ino;
  }
  LabAnswer answer = kLabKill;
  if (::send(hook.lab, &question, sizeof question, MSG_NOSIGNAL) != sizeof question) die();
  ssize_t got = 0;
  do {
    got = ::recv(hook.lab, &answer, sizeof answer, 0);
  } while (got < 0 && errno == EINTR);
  if (got != sizeof answer || answer == kLabKill) die();
  return answer;
}

}  // namespace

bool injected(const char* operation, int fd) noexcept {
  State& hook = state();
  const std::lock_guard guard(hook.mutex);
  ++hook.calls;
  if (!hook.plan.lab_socket.empty()) {
    const LabAnswer answer = ask_lab(hook, operation, fd);
    if (answer != 0) errno = answer;
    return answer != 0;
  }
  // A bound, because a whole build in a test makes a great many calls.
  if (hook.trace.size() < 4096) hook.trace.append(hook.trace.empty() ? "" : " ").append(operation);
  const Plan& plan = hook.plan;
  if (plan.at == 0 || hook.calls < plan.at || (hook.calls > plan.at && !plan.and_later)) return false;
  if (plan.error_number == kKill) ::kill(::getpid(), SIGKILL);
  const std::string_view name = operation;
  // unlink(2) and rmdir(2) do not fail with it.
  if (plan.and_later && plan.error_number == ENOSPC && (name == "unlink" || name == "rmdir")) return false;
  errno = plan.error_number;
  return true;
}

bool in_lab() noexcept {
  State& hook = state();
  const std::lock_guard guard(hook.mutex);
  return !hook.plan.lab_socket.empty();
}

std::vector<std::pair<std::string, std::string>> environment() {
  State& hook = state();
  const std::lock_guard guard(hook.mutex);
  if (hook.plan.lab_socket.empty()) return {};
  return {{"KARAPACE_FAULT", std::string(kLabPrefix) + hook.plan.lab_socket}};
}

void arm(const std::string& spec) {
  Plan plan = parse(spec);
  State& hook = state();
  const std::lock_guard guard(hook.mutex);
  hook.plan = std::move(plan);
  hook.calls = 0;
  hook.trace.clear();
}

unsigned long calls() noexcept {
  State& hook = state();
  const std::lock_guard guard(hook.mutex);
  return hook.calls;
}

std::string trace() {
  State& hook = state();
  const std::lock_guard guard(hook.mutex);
  return hook.trace;
}

}  // namespace karapace::fault

#endif
