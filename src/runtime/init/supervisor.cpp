// SPDX-License-Identifier: Apache-2.0
#include "supervisor.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

// glibc 2.36 forgot to say that these are C.
extern "C" {
#include <sys/pidfd.h>
}

#include "holder.hpp"
#include "karapace/base/error.hpp"
#include "kernel.hpp"
#include "program.hpp"
#include "pty.hpp"
#include "session_process.hpp"

namespace karapace::init {
namespace {

using runtime::LaunchMode;
using runtime::LaunchPlan;
using runtime::TerminalMode;

// Sharing memory until exec saves the copying of page tables and every copied page. A sanitizer's runtime
// does not know such children, so there it is an ordinary fork.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kChildFlags = SIGCHLD;
#else
constexpr int kChildFlags = CLONE_VM | CLONE_VFORK | SIGCHLD;
#endif

constexpr int kForwarded[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT};

/// Blocks what we handle, so that nothing is lost between two looks; remembers what the caller had.
class Signals {
 public:
  Signals() {
    sigset_t handled;
    sigemptyset(&handled);
    for (const int number : kForwarded) sigaddset(&handled, number);
    sigaddset(&handled, SIGTSTP);
    sigaddset(&handled, SIGCHLD);
    // A caller that ignores it would make the kernel throw our child's status away.
    struct sigaction action {};
    action.sa_handler = SIG_DFL;
    check(::sigaction(SIGCHLD, &action, nullptr), "set the signal handlers");
    // A shell without job control starts what is in the background with INT and QUIT ignored, and the kernel
    // throws ignored signals away. What is sent to us is for the program inside. An ignored HUP stays: that
    // is nohup(1).
    for (const int number : kForwarded) {
      if (number != SIGHUP) check(::sigaction(number, &action, nullptr), "set the signal handlers");
    }
    // A file that may not grow any more is an error to tell, no reason to die; the program gets back what the
    // caller had.
    action.sa_handler = SIG_IGN;
    check(::sigaction(SIGXFSZ, &action, &file_size_before_), "set the signal handlers");
    check(::sigprocmask(SIG_BLOCK, &handled, &before_), "set the signal mask");
    fd_ = UniqueFd(check(::signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK), "receive signals"));
  }
  [[nodiscard]] FdRef fd() const noexcept { return fd_; }
  /// For the child: the caller's mask and dispositions.
  void give_back() const noexcept {
    ::sigaction(SIGXFSZ, &file_size_before_, nullptr);
    ::sigprocmask(SIG_SETMASK, &before_, nullptr);
  }

  /// The next one, 0 if there is none.
  [[nodiscard]] int next() const {
    signalfd_siginfo info{};
    const ssize_t count = ::read(fd_.get(), &info, sizeof info);
    return count == static_cast<ssize_t>(sizeof info) ? static_cast<int>(info.ssi_signo) : 0;
  }
  void wait() const {
    pollfd state{fd_.get(), POLLIN, 0};
    if (poll_long(&state, 1) < 0 && errno != EINTR) throw_errno("wait for signals");
  }

 private:
  sigset_t before_{};
  struct sigaction file_size_before_ {};
  UniqueFd fd_;
};

/// What the child needs. In memory that it may share with us.
struct SessionStart {
  const LaunchPlan* plan = nullptr;
  const Signals* signals = nullptr;
  int read_only_program = -1;
  SessionFiles files;
};

int session_child(void* argument) noexcept {
  const auto& start = *static_cast<const SessionStart*>(argument);
  start.signals->give_back();
  if (start.read_only_program < 0) return run_session_process(*start.plan, start.files);
  try {
    // Only root inside keeps its rights when it executes a program, and with mapped ids we are ourselves
    // here. By number: the wrappers are for all threads of a process, and this memory belongs to our parent.
    check(static_cast<int>(::syscall(SYS_setresgid, 0, 0, 0)), "become root inside");
    check(static_cast<int>(::syscall(SYS_setresuid, 0, 0, 0)), "become root inside");
    for (const int fd : {start.files.supervisor, start.files.terminal, start.files.nested_user}) {
      if (fd >= 0) set_inheritable(fd);
    }
    const UniqueFd program(start.read_only_program);
    execute_program(program, kSessionName,
                    {start.files.supervisor, start.files.terminal, start.files.nested_user});
  } catch (const Error& error) {
    complain(error.message(), error.fix());
  }
  return kOwnFailure;
}

/// This program as seen through the holder, from its read-only mount: what the session may have as
/// /proc/self/exe until it executes the user's program, whose interpreter could be just that (CVE-2019-5736).
UniqueFd open_read_only_program(const ProgramFile& own) {
#ifdef KARAPACE_INIT_STATIC
  UniqueFd program(check(::open("/proc/1/exe", O_PATH | O_CLOEXEC), "open the holder's program"));
  struct statvfs info {};
  check(::fstatvfs(program.get(), &info), "look at the holder's program");
  if ((info.f_flag & ST_RDONLY) == 0 || !is_program(program, own))
    throw Error(ErrorCode::Conflict, "the environment was started by another version of Karapace",
                "Stop it (`karapace stop`) and try again.");
  return program;
#else
  // A build for tests with sanitizers is linked dynamically and cannot be executed inside an image.
  static_cast<void>(own);
  return UniqueFd();
#endif
}

void enter_namespaces(const LaunchPlan& plan, FdRef holder) {
  // From here on we are in namespaces where others are root: nobody may look into our memory and descriptors.
  check(::prctl(PR_SET_DUMPABLE, 0), "become undumpable");
  const auto namespaces = static_cast<int>(namespaces_of(plan.environment));
  if (::setns(holder.get(), namespaces) == 0) return;
  if (errno == ESRCH)
    throw Error(ErrorCode::Unavailable, "the environment was stopped at this very moment",
                "Run the command again.");
  throw_errno("join the namespaces of the environment");
}

UniqueFd take_nested_user(const LaunchPlan& plan, FdRef holder) {
  if (!plan.process.nested_user_namespace) return UniqueFd();
  return UniqueFd(check(static_cast<int>(::syscall(SYS_pidfd_getfd, holder.get(), kNestedUserFd, 0)),
                        "get the user namespace of the user"));
}

pid_t start_session(SessionStart& start) {
  alignas(16) static char stack[256 * 1024];
  const pid_t pid = ::clone(session_child, stack + sizeof stack, kChildFlags, &start);
  if (pid < 0 && errno == ENOMEM)  // the pid namespace has lost its first process
    throw Error(ErrorCode::Unavailable, "the environment was stopped at this very moment",
                "Run the command again.");
  return check(pid, "start a process in the environment");
}

/// Looks after one running session.
class Watch {
 public:
  Watch(const Signals& signals, pid_t session) : signals_(signals), session_(session) {}

  int without_terminal() {
    while (!status_) {
      signals_.wait();
      handle_signals(nullptr, nullptr);
    }
    return *status_;
  }

  int with_terminal(UniqueFd master, const runtime::ProcessPlan& process) {
    RawTerminal terminal(process.terminal_prologue, process.terminal_epilogue);
    Relay relay(std::move(master));
    while (!status_) {
      const Relay::State state = relay.step(signals_.fd());
      if (state == Relay::State::Closed)
        signals_.wait();  // nothing to relay any more; the program may live on
      if (state == Relay::State::HungUp) {
        forward(SIGHUP);
        forward(SIGCONT);
      }
      handle_signals(&terminal, &relay);
    }
    relay.drain();
    return *status_;
  }

 private:
  void handle_signals(RawTerminal* terminal, Relay* relay) {
    while (const int number = signals_.next()) {
      if (number == SIGCHLD) {
        look_for_end();
      } else if (number == SIGTSTP) {
        stop(terminal);
      } else if (number == SIGWINCH && relay != nullptr) {
        relay->copy_window_size();
      } else {
        if (number == SIGCONT && terminal != nullptr) terminal->make_raw();
        forward(number);
      }
    }
  }

  void look_for_end() {
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(session_), &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0)
      return;
    status_ = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
  }

  void forward(int number) const noexcept {
    // Its process group; just after its start it may have none yet.
    if (!status_ && ::kill(-session_, number) != 0) ::kill(session_, number);
  }

  /// Ctrl-Z where we have no terminal of our own, or a SIGTSTP sent to us: both sides stop, SIGCONT wakes
  /// both.
  void stop(RawTerminal* terminal) const noexcept {
    if (terminal != nullptr)
      terminal->restore();
    else
      forward(SIGSTOP);
    ::raise(SIGSTOP);
  }

  const Signals& signals_;
  pid_t session_;
  std::optional<int> status_;
};

void wait_until_gone(FdRef pidfd) noexcept {
  pollfd state{pidfd.get(), POLLIN, 0};
  while (::poll(&state, 1, 2000) < 0 && errno == EINTR) {
  }
}

/// One at a time: two that leave together would each see the other's shared lock, and neither would be the
/// last. It ends with the supervisor. Another kind of lock on the same file, which flock(2) does not see.
void take_turn_to_leave(int sessions) noexcept {
  struct flock turn {};
  turn.l_type = F_WRLCK;
  turn.l_whence = SEEK_SET;
  turn.l_len = 1;
  while (::fcntl(sessions, F_OFD_SETLKW, &turn) != 0 && errno == EINTR) {
  }
}

/// The last session takes the holder with it and sees it go, so that nothing is left when the command
/// returns.
void leave_environment(const LaunchPlan& plan, const Holder& holder, FdRef pidfd) {
  if (plan.mode == LaunchMode::Ephemeral) return;
  take_turn_to_leave(plan.sessions_lock_fd);
  if (::flock(plan.sessions_lock_fd, LOCK_EX | LOCK_NB) == 0) {
    // Nobody else is here, and nobody gets in before we end. The stale record names a dead process, which is
    // no holder.
    ::pidfd_send_signal(pidfd.get(), SIGKILL, nullptr, 0);
    wait_until_gone(pidfd);
  } else if (::flock(plan.sessions_lock_fd, LOCK_SH | LOCK_NB) != 0) {
    wait_until_gone(pidfd);  // the holder was quicker and is ending by itself
  } else {
    ::flock(plan.sessions_lock_fd, LOCK_UN);  // others are still here, and one of them will be the last
    return;
  }
  if (holder.pid > 0) wait_for(holder.pid);
}

int run_session(const LaunchPlan& plan, const Signals& signals, FdRef holder, const ProgramFile& own) {
  const UniqueFd self(check(static_cast<int>(::pidfd_open(::getpid(), 0)), "open our own pidfd"));
  enter_namespaces(plan, holder);
  const UniqueFd nested_user = take_nested_user(plan, holder);
  UniqueFd program;
  if (own.exposure == Exposure::Writable) program = open_read_only_program(own);
  Pty pty;
  if (plan.process.terminal == TerminalMode::Pty) pty = open_pty();
  SessionStart start{
      .plan = &plan,
      .signals = &signals,
      .read_only_program = program.get(),
      .files = {.supervisor = self.get(), .terminal = pty.slave.get(), .nested_user = nested_user.get()}};
  Watch watch(signals, start_session(start));
  pty.slave.reset();
  if (plan.status_fd >= 0) ::close(plan.status_fd);
  return pty.master ? watch.with_terminal(std::move(pty.master), plan.process) : watch.without_terminal();
}

}  // namespace

int supervise(const LaunchPlan& plan) {
  const Signals signals;
  const ProgramFile own = look_at_own_program();
  Holder holder;
  if (plan.mode != LaunchMode::Join) holder = start_holder(plan, own);
  if (plan.mode == LaunchMode::Start) {
    record_and_release(plan, holder);
    if (plan.start_lock_fd >= 0) ::close(plan.start_lock_fd);
  }
  const FdRef pidfd =
      plan.mode == LaunchMode::Join ? FdRef::from_raw(plan.holder_pidfd) : FdRef(holder.pidfd);
  const int status = run_session(plan, signals, pidfd, own);
  if (plan.mode == LaunchMode::Ephemeral) {
    // Whatever the program left behind ends here, before the caller touches the files.
    holder.control.reset();
    wait_for(holder.pid);
  }
  leave_environment(plan, holder, pidfd);
  return status;
}

}  // namespace karapace::init
