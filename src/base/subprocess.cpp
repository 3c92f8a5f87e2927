// SPDX-License-Identifier: Apache-2.0
#include "karapace/base/subprocess.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <optional>

#include "at_path.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/text.hpp"

namespace karapace {
namespace {

constexpr const char* kDefaultPath = "/usr/local/bin:/usr/bin:/bin";
// Debian keeps them out of a user's PATH, and tools we run (and that they run) live there.
constexpr std::string_view kSystemPath[] = {"/usr/local/sbin", "/usr/sbin", "/sbin"};

/// The caller's PATH, without relative entries (they mean something else in every directory), and sbin.
std::vector<std::string> search_path() {
  const char* value = std::getenv("PATH");
  std::vector<std::string> entries;
  const auto add = [&](std::string_view entry) {
    if (entry.starts_with('/') && std::ranges::find(entries, entry) == entries.end())
      entries.emplace_back(entry);
  };
  for (std::string_view rest = value != nullptr && *value != '\0' ? value : kDefaultPath;;) {
    const auto colon = rest.find(':');
    add(rest.substr(0, colon));
    if (colon == std::string_view::npos) break;
    rest.remove_prefix(colon + 1);
  }
  for (const std::string_view entry : kSystemPath) add(entry);
  return entries;
}

bool is_program(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
         ::faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) == 0;
}

/// posix_spawn's settings: signals as in a new process, process group, and the descriptors.
class SpawnSettings {
 public:
  explicit SpawnSettings(const Command& command) {
    check(::posix_spawnattr_init(&attributes_));
    check(::posix_spawn_file_actions_init(&actions_));
    set_signals(command.own_process_group);
    if (command.working_directory)
      check(::posix_spawn_file_actions_addchdir_np(&actions_, c_path(*command.working_directory)));
    map_descriptors(command.fds);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;
  ~SpawnSettings() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }

  [[nodiscard]] const posix_spawnattr_t* attributes() const noexcept { return &attributes_; }
  [[nodiscard]] const posix_spawn_file_actions_t* actions() const noexcept { return &actions_; }

 private:
  static void check(int error_number) {
    if (error_number != 0) throw SystemError(error_number, "prepare a child process");
  }

  void set_signals(bool own_process_group) {
    sigset_t all;
    sigset_t none;
    sigfillset(&all);
    sigemptyset(&none);
    int flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
    if (own_process_group) flags |= POSIX_SPAWN_SETPGROUP;
    check(::posix_spawnattr_setflags(&attributes_, static_cast<short>(flags)));
    check(::posix_spawnattr_setsigdefault(&attributes_, &all));
    check(::posix_spawnattr_setsigmask(&attributes_, &none));
    check(::posix_spawnattr_setpgroup(&attributes_, 0));
  }

  // The actions run one after the other in the child. Copies above the highest target come first, so that no
  // action overwrites what a later one reads (a swap of 1 and 2 would give the same file twice).
  void map_descriptors(const std::vector<FdMapping>& fds) {
    int highest = STDERR_FILENO;
    for (const FdMapping& mapping : fds) {
      KARAPACE_ASSERT(mapping.target >= 0 && mapping.source.get() >= 0);
      highest = std::max(highest, mapping.target);
    }
    std::vector<int> source_of(static_cast<std::size_t>(highest) + 1, -1);
    for (const FdMapping& mapping : fds) {
      UniqueFd copy(::fcntl(mapping.source.get(), F_DUPFD_CLOEXEC, highest + 1));
      // EINVAL says that no descriptor may have so high a number.
      if (!copy)
        throw SystemError(errno == EINVAL ? EMFILE : errno, "duplicate a descriptor for a child process");
      int& source = source_of[static_cast<std::size_t>(mapping.target)];
      KARAPACE_ASSERT(source < 0);
      source = copy.get();
      copies_.push_back(std::move(copy));
    }
    for (int target = 0; target <= highest; ++target) {
      const int source = source_of[static_cast<std::size_t>(target)];
      if (source >= 0) {
        check(::posix_spawn_file_actions_adddup2(&actions_, source, target));
      } else if (target <= STDERR_FILENO) {
        check(::posix_spawn_file_actions_addopen(&actions_, target, "/dev/null", O_RDWR, 0));
      } else {
        // In a gap may lie one that we inherited without O_CLOEXEC. Closing an unused number is no error.
        check(::posix_spawn_file_actions_addclose(&actions_, target));
      }
    }
    check(::posix_spawn_file_actions_addclosefrom_np(&actions_, highest + 1));
  }

  posix_spawnattr_t attributes_{};
  posix_spawn_file_actions_t actions_{};
  std::vector<UniqueFd> copies_;
};

/// An array of char* that ends with a null pointer, as exec wants it.
class CStrings {
 public:
  void add(std::string text) {
    if (text.find('\0') != std::string::npos)
      throw Error(ErrorCode::InvalidInput,
                  fmt::format("the argument \"{}\" has a NUL byte", printable(text)));
    texts_.push_back(std::move(text));
  }
  [[nodiscard]] char* const* get() {
    pointers_.clear();
    for (std::string& text : texts_) pointers_.push_back(text.data());
    pointers_.push_back(nullptr);
    return pointers_.data();
  }

 private:
  std::vector<std::string> texts_;
  std::vector<char*> pointers_;
};

CStrings environment_strings(const Command& command) {
  CStrings strings;
  for (const auto& [name, value] : command.environment) {
    if (name.empty() || name.find('=') != std::string::npos)
      throw Error(ErrorCode::InvalidInput,
                  fmt::format("\"{}\" cannot be the name of an environment variable", printable(name)));
    strings.add(fmt::format("{}={}", name, value));
  }
  return strings;
}

std::string locate(const std::string& program) {
  if (program.starts_with('/')) return c_path(program);
  if (auto path = find_program(program)) return *path;
  throw Error(ErrorCode::NotFound,
              fmt::format("there is no program \"{}\" on this system", printable(program)),
              fmt::format("Install {} with the package manager of this system.", printable(program)));
}

// By number: glibc 2.36 declares both without extern "C", so that C++ cannot link them.
UniqueFd open_pidfd(pid_t pid) noexcept {
  return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

void keep_exit_statuses() {
  struct sigaction action {};
  if (::sigaction(SIGCHLD, nullptr, &action) != 0 || action.sa_handler != SIG_IGN) return;
  action.sa_handler = SIG_DFL;
  if (::sigaction(SIGCHLD, &action, nullptr) != 0) throw_errno("sigaction");
}

/// What ignore_file_size_signal() found; empty if it was not called.
std::optional<struct sigaction>& file_size_signal_before() {
  static std::optional<struct sigaction> before;
  return before;
}

int status_of(const siginfo_t& info) noexcept {
  return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> host_tool_environment() {
  std::vector<std::pair<std::string, std::string>> variables;
  std::string path;
  for (const std::string& entry : search_path()) path += (path.empty() ? "" : ":") + entry;
  variables.emplace_back("PATH", std::move(path));
  variables.emplace_back("LANG", "C.UTF-8");
  for (const char* name : {"HOME", "TMPDIR", "http_proxy", "https_proxy", "ftp_proxy", "all_proxy",
                           "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY"}) {
    const char* value = std::getenv(name);
    if (value != nullptr) variables.emplace_back(name, value);
  }
  return variables;
}

std::optional<std::string> find_program(std::string_view name) {
  if (name.empty() || name.find('\0') != std::string_view::npos) return std::nullopt;
  if (name.find('/') != std::string_view::npos) {
    std::string path(name);
    if (!path.starts_with('/') || !is_program(path)) return std::nullopt;
    return path;
  }
  for (const std::string& entry : search_path()) {
    std::string path = fmt::format("{}/{}", entry, name);
    if (is_program(path)) return path;
  }
  return std::nullopt;
}

ChildProcess spawn(const Command& command) {
  const std::string path = locate(command.program);
  CStrings arguments;
  arguments.add(command.program);
  for (const std::string& argument : command.arguments) arguments.add(argument);
  CStrings environment = environment_strings(command);
  const SpawnSettings settings(command);
  keep_exit_statuses();
  pid_t pid = -1;
  const int error_number = ::posix_spawn(&pid, path.c_str(), settings.actions(), settings.attributes(),
                                         arguments.get(), environment.get());
  if (error_number != 0) throw SystemError(error_number, describe("run", path));
  // Not reaped yet, so the number is still this child, even if it has ended.
  UniqueFd pidfd = open_pidfd(pid);
  if (!pidfd) {
    const int open_error = errno;
    ::kill(pid, SIGKILL);
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    throw SystemError(open_error, "pidfd_open");
  }
  return ChildProcess(pid, std::move(pidfd));
}

void replace_process(const std::string& path, const std::vector<std::string>& argv) {
  CStrings arguments;
  for (const std::string& argument : argv) arguments.add(argument);
  CStrings environment;
  const auto& before = file_size_signal_before();
  if (before && ::sigaction(SIGXFSZ, &*before, nullptr) != 0) throw_errno("sigaction");
  ::execve(c_path(path), arguments.get(), environment.get());
  const int error_number = errno;
  if (before) ignore_file_size_signal();
  throw SystemError(error_number, describe("run", path));
}

void ignore_file_size_signal() {
  struct sigaction before {};
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  if (::sigaction(SIGXFSZ, &ignore, &before) != 0) throw_errno("sigaction");
  if (!file_size_signal_before()) file_size_signal_before() = before;
}

ChildProcess::ChildProcess(pid_t pid, UniqueFd pidfd) noexcept : pid_(pid), pidfd_(std::move(pidfd)) {}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)), status_(other.status_) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  if (this != &other) {
    kill_and_reap();
    pid_ = std::exchange(other.pid_, -1);
    pidfd_ = std::move(other.pidfd_);
    status_ = other.status_;
  }
  return *this;
}

ChildProcess::~ChildProcess() { kill_and_reap(); }

FdRef ChildProcess::pidfd() const noexcept { return pidfd_; }

void ChildProcess::kill_and_reap() noexcept {
  if (pid_ < 0) return;
  signal_group(SIGKILL);
  siginfo_t info{};
  while (::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED) != 0 && errno == EINTR) {
  }
  pid_ = -1;
}

int ChildProcess::wait() {
  if (pid_ < 0) return status_;
  siginfo_t info{};
  while (::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED) != 0) {
    if (errno != EINTR) throw_errno("wait for a child process");
  }
  pid_ = -1;
  status_ = status_of(info);
  return status_;
}

std::optional<int> ChildProcess::try_wait() {
  if (pid_ < 0) return status_;
  siginfo_t info{};
  while (::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOHANG) != 0) {
    if (errno != EINTR) throw_errno("wait for a child process");
  }
  if (info.si_pid == 0) return std::nullopt;
  pid_ = -1;
  status_ = status_of(info);
  return status_;
}

void ChildProcess::signal(int signal_number) const noexcept {
  // It fails only if the process has ended already.
  if (pid_ >= 0) static_cast<void>(::syscall(SYS_pidfd_send_signal, pidfd_.get(), signal_number, nullptr, 0));
}

void ChildProcess::signal_group(int signal_number) const noexcept {
  if (pid_ < 0) return;
  // Until it is reaped neither the process number nor the group's can be used again.
  if (::getpgid(pid_) == pid_) ::kill(-pid_, signal_number);
  signal(signal_number);
}

}  // namespace karapace
