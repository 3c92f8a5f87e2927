// SPDX-License-Identifier: Apache-2.0
#include "session_lock.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/runtime/plan/holder_record.hpp"
#include "karapace/runtime/session.hpp"

namespace karapace::runtime {
namespace {

constexpr std::size_t kMaxRecord = 512;
constexpr int kRounds = 16;

UniqueFd open_lock_file(FdRef run_directory, const char* name) {
  return open_beneath(run_directory, name, O_RDWR | O_CREAT, 0600);
}

UniqueFd open_pidfd(pid_t pid) { return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

/// Readable means it has ended, reaped or not.
bool has_ended(FdRef pidfd, int timeout_ms) {
  pollfd state{pidfd.get(), POLLIN, 0};
  int ready = 0;
  do ready = ::poll(&state, 1, timeout_ms);
  while (ready < 0 && errno == EINTR);
  return ready != 0;
}

void send_signal(FdRef pidfd, int number) {
  // It fails if the process has ended, which is what the caller is after.
  static_cast<void>(::syscall(SYS_pidfd_send_signal, pidfd.get(), number, nullptr, 0));
}

}  // namespace

std::optional<UniqueFd> find_run_directory(const store::StoreLayout& store, const std::string& env_id) {
  store::check_env_id(env_id);
  try {
    return try_open_beneath(store.root(), "env/" + env_id + "/run", O_RDONLY | O_DIRECTORY);
  } catch (const SystemError& error) {
    if (error.error_number() != ELOOP && error.error_number() != ENOTDIR) throw;
    throw CorruptError("env/" + env_id + "/run", "a directory", error.message());
  }
}

UniqueFd open_run_directory(const store::StoreLayout& store, const std::string& env_id) {
  if (auto directory = find_run_directory(store, env_id)) return std::move(*directory);
  const auto environment = try_open_beneath(store.root(), "env/" + env_id, O_RDONLY | O_DIRECTORY);
  if (!environment)
    throw Error(ErrorCode::NotFound,
                fmt::format("the files of environment {} are missing", env_id.substr(0, 12)),
                "Build its manifest again.");
  ensure_directory_at(*environment, "run", 0700);
  return open_directory(*environment, "run");
}

std::optional<LiveHolder> find_holder(FdRef run_directory) {
  const auto text = try_read_file_at(run_directory, "holder", kMaxRecord);
  if (!text) return std::nullopt;
  const auto record = parse_holder_record(*text);
  if (!record) return std::nullopt;
  // First the descriptor, then the look at /proc: so both are of one process, and a later use of the number
  // changes nothing.
  LiveHolder holder{record->pid, open_pidfd(record->pid)};
  if (!holder.pidfd || observe_process(record->pid) != record || has_ended(holder.pidfd, 0))
    return std::nullopt;
  return holder;
}

FileLock join_sessions(FdRef run_directory) {
  return FileLock::acquire(open_lock_file(run_directory, "sessions"), LockMode::Shared);
}

FileLock lock_start(FdRef run_directory) {
  return FileLock::acquire(open_lock_file(run_directory, "start.lock"), LockMode::Exclusive);
}

std::optional<FileLock> lock_out_sessions(const store::StoreLayout& store, const std::string& env_id) {
  const UniqueFd run_directory = open_run_directory(store, env_id);
  for (int round = 0; round < kRounds; ++round) {
    if (auto lock = FileLock::try_acquire(open_lock_file(run_directory, "sessions"), LockMode::Exclusive))
      return lock;
    // Sessions share the lock. Only a holder that is going has it for itself, and is gone in a moment.
    if (FileLock::try_acquire(open_lock_file(run_directory, "sessions"), LockMode::Shared))
      return std::nullopt;
    static_cast<void>(join_sessions(run_directory));
  }
  return std::nullopt;
}

SessionStatus session_status(const store::StoreLayout& store, const std::string& env_id) {
  try {
    // Most environments have no session, and a list asks for all of them.
    store::check_env_id(env_id);
    if (!try_open_beneath(store.root(), "env/" + env_id + "/run/holder", O_PATH)) return {};
    const auto directory = find_run_directory(store, env_id);
    if (!directory) return {};
    const auto holder = find_holder(*directory);
    if (!holder) return {};
    return SessionStatus{true, holder->pid};
  } catch (const Error& error) {
    if (is_shortage(error)) throw;
    // Damage of one environment, which must not hide the others from a list. Whoever changes it takes the
    // locks in there first, and is told.
    return {};
  }
}

StopResult stop_sessions(const store::StoreLayout& store, const std::string& env_id,
                         std::chrono::milliseconds grace) {
  const auto directory = find_run_directory(store, env_id);
  if (!directory) return StopResult::NotRunning;
  const auto holder = find_holder(*directory);
  if (!holder) return StopResult::NotRunning;
  // The holder passes it on to everything inside, and goes when the last session has ended.
  send_signal(holder->pidfd, SIGTERM);
  if (has_ended(holder->pidfd, static_cast<int>(grace.count()))) return StopResult::Terminated;
  // With the first process of the pid namespace the kernel kills all others.
  send_signal(holder->pidfd, SIGKILL);
  has_ended(holder->pidfd, -1);
  return StopResult::Killed;
}

}  // namespace karapace::runtime
