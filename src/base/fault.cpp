// SPDX-License-Identifier: Apache-2.0
#include "karapace/base/fault.hpp"

#ifdef KARAPACE_FAULT_HOOK

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <mutex>
#include <string_view>

#include "karapace/base/error.hpp"

namespace karapace::fault {
namespace {

constexpr int kKill = -1;
constexpr int kMaxErrno = 133;

struct Plan {
  unsigned long at = 0;  // the call that fails; 0: none
  bool and_later = false;
  int error_number = 0;  // or kKill
  std::string count_file;
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

}  // namespace

bool injected(const char* operation) noexcept {
  State& hook = state();
  const std::lock_guard guard(hook.mutex);
  ++hook.calls;
  // A bound, because a whole build in a test makes a great many calls.
  if (hook.trace.size() < 4096) hook.trace.append(hook.trace.empty() ? "" : " ").append(operation);
  const Plan& plan = hook.plan;
  if (plan.at == 0 || hook.calls < plan.at || (hook.calls > plan.at && !plan.and_later)) return false;
  if (plan.error_number == kKill) ::kill(::getpid(), SIGKILL);
  errno = plan.error_number;
  return true;
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
