// SPDX-License-Identifier: Apache-2.0
// The order matters:
//   the bounding set while CAP_SETPCAP is there; ids while CAP_SETUID is; capabilities after the last use of
//   them; no_new_privs before seccomp, or the kernel refuses the filter; the working directory with the
//   rights of the user; the parent-death signal after the last change of ids, which clears it, and then a
//   look whether the parent still lives; descriptors just before exec, so that nothing opened on the way gets
//   through.
#include "session_process.hpp"

#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>

#include "capabilities.hpp"
#include "karapace/base/error.hpp"
#include "kernel.hpp"

namespace karapace::init {
namespace {

using runtime::LaunchPlan;
using runtime::ProcessPlan;

void take_terminal(int terminal, const ProcessPlan& process) {
  check(::ioctl(terminal, TIOCSCTTY, 0), "take the terminal");
  // Flat: everything has the one owner already, and EINVAL says that the id is not mapped.
  if (::fchown(terminal, process.uid, static_cast<gid_t>(-1)) != 0 && errno != EINVAL && errno != EPERM)
    throw_errno("own the terminal");
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    check(::dup2(terminal, stream), "use the terminal");
}

void take_identity(const ProcessPlan& process, const SessionFiles& files) {
  const Capabilities kept = process.drop_all_capabilities ? Capabilities::None : Capabilities::Root;
  if (files.nested_user >= 0) {
    // Its one id is ours already: nothing to set.
    check(::setns(files.nested_user, CLONE_NEWUSER), "enter the user namespace of the user");
    bound_capabilities(kept);
  } else {
    bound_capabilities(kept);
    if (::setgroups(0, nullptr) != 0 && errno != EPERM) throw_errno("drop the supplementary groups");
    check(::setresgid(process.gid, process.gid, process.gid), "become the group inside");
    check(::setresuid(process.uid, process.uid, process.uid), "become the user inside");
  }
  set_capabilities(kept);
  if (::getuid() != process.uid || ::getgid() != process.gid)
    throw Error(ErrorCode::Internal, "the user inside is not the one of the plan");
}

void enter_working_directory(const ProcessPlan& process) {
  for (const std::string& directory : process.working_directories) {
    if (::chdir(directory.c_str()) == 0) return;
  }
  check(::chdir("/"), "enter the root directory");
}

void die_with_supervisor(int supervisor) {
  check(::prctl(PR_SET_PDEATHSIG, SIGKILL), "end with the supervisor");
  if (supervisor < 0) return;
  // It may have died just before that call; its pidfd is readable then.
  pollfd state{supervisor, POLLIN, 0};
  if (::poll(&state, 1, 0) != 0) ::_exit(kOwnFailure);
}

void close_descriptors(const LaunchPlan& plan) {
  check(::close_range(3, UINT_MAX, CLOSE_RANGE_CLOEXEC), "close inherited descriptors");
  for (const int fd : plan.process.keep_fds) set_inheritable(fd);
}

void load_filter(const ProcessPlan& process) {
  if (process.seccomp_filter.empty()) return;
  if (process.seccomp_filter.size() % sizeof(sock_filter) != 0)
    throw Error(ErrorCode::InvalidInput, "the system call filter of the plan is damaged");
  std::vector<sock_filter> instructions(process.seccomp_filter.size() / sizeof(sock_filter));
  std::memcpy(instructions.data(), process.seccomp_filter.data(), process.seccomp_filter.size());
  sock_fprog program{};
  program.len = static_cast<unsigned short>(instructions.size());
  program.filter = instructions.data();
  check(static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)),
        "load the system call filter");
}

void tell_status(const LaunchPlan& plan, std::string_view text) noexcept {
  // Whoever asked may have gone.
  if (plan.status_fd >= 0) {
    [[maybe_unused]] const ssize_t written = ::write(plan.status_fd, text.data(), text.size());
  }
}

/// Finds and executes the program. Returns only if that fails, with errno.
class Execution {
 public:
  explicit Execution(const ProcessPlan& process) : process_(process) {
    for (const auto& [name, value] : process.environment) {
      // The caller's shell may not be there; the programs inside should get one that is.
      const bool is_shell = name == "SHELL" && !process.login_shells.empty();
      variables_.push_back(name + "=" + (is_shell ? shell_of(process) : value));
    }
    for (std::string& variable : variables_) environment_.push_back(variable.data());
    environment_.push_back(nullptr);
  }

  int run() {
    if (process_.argv.empty()) return run_login_shell();
    const std::string& name = process_.argv.front();
    if (name.find('/') != std::string::npos) return execute(name, process_.argv);
    return search(name);
  }
  [[nodiscard]] std::string what() const {
    return process_.argv.empty() ? std::string("no shell") : process_.argv.front();
  }

 private:
  static const std::string& shell_of(const ProcessPlan& process) {
    for (const std::string& shell : process.login_shells) {
      if (::access(shell.c_str(), X_OK) == 0) return shell;
    }
    return process.login_shells.back();
  }

  /// As execvpe(3), with the PATH of the environment inside.
  int search(const std::string& name) {
    if (name.empty()) return ENOENT;
    std::string_view path = "/usr/local/bin:/usr/bin:/bin";
    for (const auto& [key, value] : process_.environment) {
      if (key == "PATH") path = value;
    }
    bool denied = false;
    for (std::size_t at = 0; at <= path.size();) {
      const std::size_t end = std::min(path.find(':', at), path.size());
      const std::string_view directory = path.substr(at, end - at);
      const int error =
          execute((directory.empty() ? "." : std::string(directory)) + "/" + name, process_.argv);
      if (error == EACCES) denied = true;
      if (error != EACCES && error != ENOENT && error != ENOTDIR && error != ESTALE && error != ENODEV &&
          error != ETIMEDOUT)
        return error;
      at = end + 1;
    }
    return denied ? EACCES : ENOENT;
  }

  int run_login_shell() {
    int error = ENOENT;
    for (const std::string& shell : process_.login_shells) {
      error = execute(shell, {"-" + shell.substr(shell.rfind('/') + 1)});
      if (error != ENOENT && error != ENOTDIR && error != EACCES) break;
    }
    return error;
  }

  int execute(const std::string& path, const std::vector<std::string>& argv) {
    std::vector<char*> arguments;
    for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);
    ::execve(path.c_str(), arguments.data(), environment_.data());
    if (errno != ENOEXEC) return errno;
    // A script without "#!": as every shell and execvp(3), the image's sh runs it.
    static const std::string kShell = std::string("/bin/") + "sh";
    arguments.insert(arguments.begin() + 1, const_cast<char*>(path.c_str()));
    arguments.front() = const_cast<char*>(kShell.c_str());
    ::execve(kShell.c_str(), arguments.data(), environment_.data());
    return ENOEXEC;
  }

  const ProcessPlan& process_;
  std::vector<std::string> variables_;
  std::vector<char*> environment_;
};

int execute_program_of(const LaunchPlan& plan) {
  Execution execution(plan.process);
  tell_status(plan, "1");
  const int error = execution.run();
  const bool missing = error == ENOENT || error == ENOTDIR;
  complain(execution.what() + ": " +
           (missing ? "command not found in the environment" : ::strerrordesc_np(error)));
  return missing ? kCommandNotFound : kCannotExecute;
}

}  // namespace

int run_session_process(const LaunchPlan& plan, const SessionFiles& files) noexcept {
  try {
    check(::setsid(), "start a session");
    leave_session_keyring();
    if (files.terminal >= 0) take_terminal(files.terminal, plan.process);
    ::umask(static_cast<mode_t>(plan.process.umask));
    take_identity(plan.process, files);
    if (plan.process.no_new_privileges)
      check(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "give up new privileges");
    enter_working_directory(plan.process);
    die_with_supervisor(files.supervisor);
    close_descriptors(plan);
    load_filter(plan.process);
    return execute_program_of(plan);
  } catch (const Error& error) {
    tell_status(plan, error.message());
    complain(error.message(), error.fix());
  } catch (const std::exception& error) {
    complain(error.what());
  }
  return kOwnFailure;
}

}  // namespace karapace::init
