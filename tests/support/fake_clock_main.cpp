// SPDX-License-Identifier: Apache-2.0
// karapace-test-fake-clock SECONDS PROGRAM ARGUMENT...: the program and everything it starts, statically
// linked or not and in whatever namespaces, see the clock of the day that many seconds later (or earlier).
//
// A filter makes the kernel stop them at the calls that read the clock; they are answered from here. Waits
// until a time of that clock (futex(2), clock_nanosleep(2)) get the real one. The vDSO, which reads it
// without a call, is hidden from each program as it starts. Times that the kernel gives to files are the real
// ones. Run it as root to keep programs with the setuid bit working, and change the user inside.
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <utility>

namespace {

#ifdef __x86_64__

constexpr unsigned long kAuxVdso = 33;  // AT_SYSINFO_EHDR
constexpr unsigned long kAuxIgnore = 1;
constexpr long kWord = sizeof(long);

void filter_clock_calls() {
  if (::geteuid() != 0 && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) std::perror("no_new_privs");
  constexpr auto kSecond = offsetof(seccomp_data, args) + sizeof(std::uint64_t);  // its low half
  std::array<sock_filter, 15> code = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 6),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clock_gettime, 9, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_gettimeofday, 8, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_time, 7, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clock_nanosleep, 3, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kSecond),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, FUTEX_CLOCK_REALTIME, 2, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kSecond),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, TIMER_ABSTIME, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog program{.len = code.size(), .filter = code.data()};
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) {
    std::perror("seccomp");
    std::exit(125);
  }
}

class Tracer {
 public:
  explicit Tracer(long offset) : offset_(offset) {}

  int run(pid_t main) {
    int result = 125;
    for (;;) {
      int status = 0;
      const pid_t pid = ::waitpid(-1, &status, __WALL);
      if (pid < 0 && errno == EINTR) continue;
      if (pid < 0) return result;
      if (WIFSTOPPED(status)) {
        handle_stop(pid, status);
      } else if (pid == main) {
        result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      }
    }
  }

 private:
  using Register = unsigned long long user_regs_struct::*;
  enum class Then { GoOn, StopAtItsEnd };
  static constexpr int kCallEnds = SIGTRAP | 0x80;  // PTRACE_O_TRACESYSGOOD

  static void go_on(pid_t pid, int signal) { ::ptrace(PTRACE_CONT, pid, 0, signal); }
  static bool read_word(pid_t pid, unsigned long address, unsigned long& word) {
    errno = 0;
    word = static_cast<unsigned long>(::ptrace(PTRACE_PEEKDATA, pid, address, 0));
    return errno == 0;
  }
  static void write_word(pid_t pid, unsigned long address, long word) {
    ::ptrace(PTRACE_POKEDATA, pid, address, word);
  }

  void handle_stop(pid_t pid, int status) {
    const int signal = WSTOPSIG(status);
    const int event = status >> 16;
    if (event == PTRACE_EVENT_STOP && signal != SIGTRAP) {  // the group was stopped, and stays so
      ::ptrace(PTRACE_LISTEN, pid, 0, 0);
      return;
    }
    if (event == 0 && signal == kCallEnds) {
      restore_deadline(pid);
      return go_on(pid, 0);
    }
    if (event == PTRACE_EVENT_SECCOMP && answer(pid) == Then::StopAtItsEnd) {
      ::ptrace(PTRACE_SYSCALL, pid, 0, 0);
      return;
    }
    if (event == PTRACE_EVENT_EXEC) hide_vdso(pid);
    go_on(pid, event == 0 ? signal : 0);
  }

  /// Above the stack pointer of a new program: count, arguments, 0, environment, 0, pairs of type and value.
  static void hide_vdso(pid_t pid) {
    user_regs_struct registers{};
    if (::ptrace(PTRACE_GETREGS, pid, 0, &registers) != 0) return;
    unsigned long at = registers.rsp;
    unsigned long word = 0;
    if (!read_word(pid, at, word)) return;
    at += kWord * (word + 2);
    do {
      if (!read_word(pid, at, word)) return;
      at += kWord;
    } while (word != 0);
    for (; read_word(pid, at, word) && word != 0; at += 2 * kWord) {
      if (word == kAuxVdso) write_word(pid, at, kAuxIgnore);
    }
  }

  Then answer(pid_t pid) {
    user_regs_struct registers{};
    if (::ptrace(PTRACE_GETREGS, pid, 0, &registers) != 0) return Then::GoOn;
    if (registers.orig_rax == SYS_futex) return move_deadline(pid, registers, &user_regs_struct::r10);
    if (registers.orig_rax == SYS_clock_nanosleep)
      return registers.rdi == CLOCK_REALTIME ? move_deadline(pid, registers, &user_regs_struct::rdx)
                                             : Then::GoOn;
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    now.tv_sec += offset_;
    switch (registers.orig_rax) {
      case SYS_clock_gettime:
        if (registers.rdi != CLOCK_REALTIME && registers.rdi != CLOCK_REALTIME_COARSE &&
            registers.rdi != CLOCK_TAI)
          return Then::GoOn;
        write_pair(pid, registers.rsi, now.tv_sec, now.tv_nsec);
        registers.rax = 0;
        break;
      case SYS_gettimeofday:
        write_pair(pid, registers.rdi, now.tv_sec, now.tv_nsec / 1000);
        registers.rax = 0;
        break;
      case SYS_time:
        if (registers.rdi != 0) write_word(pid, registers.rdi, now.tv_sec);
        registers.rax = static_cast<unsigned long>(now.tv_sec);
        break;
      default:
        return Then::GoOn;
    }
    registers.orig_rax = static_cast<unsigned long>(-1);  // it is done
    ::ptrace(PTRACE_SETREGS, pid, 0, &registers);
    return Then::GoOn;
  }

  /// The call gets a copy of its deadline, by the real clock, beyond what the x86-64 ABI lets a function use
  /// below its stack pointer. The caller's own is left alone: it may wait for it again.
  Then move_deadline(pid_t pid, user_regs_struct registers, Register argument) {
    constexpr unsigned long kBelowTheStack = 1024;
    const unsigned long address = registers.*argument;
    unsigned long seconds = 0;
    unsigned long nanoseconds = 0;
    if (address == 0 || !read_word(pid, address, seconds) || !read_word(pid, address + kWord, nanoseconds))
      return Then::GoOn;
    const unsigned long copy = (registers.rsp - kBelowTheStack) & ~15UL;
    const long real = static_cast<long>(seconds) - offset_;
    write_pair(pid, copy, real < 0 ? 0 : real, static_cast<long>(nanoseconds));
    moved_[pid] = {argument, address};
    registers.*argument = copy;
    ::ptrace(PTRACE_SETREGS, pid, 0, &registers);
    return Then::StopAtItsEnd;
  }

  /// The kernel preserves the registers of arguments, and programs rely on it.
  void restore_deadline(pid_t pid) {
    const auto found = moved_.find(pid);
    if (found == moved_.end()) return;
    user_regs_struct registers{};
    if (::ptrace(PTRACE_GETREGS, pid, 0, &registers) == 0) {
      registers.*found->second.first = found->second.second;
      ::ptrace(PTRACE_SETREGS, pid, 0, &registers);
    }
    moved_.erase(found);
  }

  static void write_pair(pid_t pid, unsigned long address, long first, long second) {
    if (address == 0) return;
    write_word(pid, address, first);
    write_word(pid, address + kWord, second);
  }

  long offset_;
  std::map<pid_t, std::pair<Register, unsigned long>> moved_;  // what to put back into which register
};

int trace(long offset, char** command) {
  std::array<int, 2> start{};
  if (::pipe2(start.data(), O_CLOEXEC) != 0) return 125;
  const pid_t pid = ::fork();
  if (pid < 0) return 125;
  if (pid == 0) {
    char byte = 0;
    ::close(start[1]);
    if (::read(start[0], &byte, 1) != 1) ::_exit(125);
    ::close(start[0]);
    filter_clock_calls();
    ::execvp(command[0], command);
    std::perror(command[0]);
    ::_exit(127);
  }
  constexpr long kOptions = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                            PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD |
                            PTRACE_O_EXITKILL;
  if (::ptrace(PTRACE_SEIZE, pid, 0, kOptions) != 0 || ::write(start[1], "x", 1) != 1) {
    std::perror("ptrace");
    return 125;
  }
  ::close(start[0]);
  ::close(start[1]);
  // Ctrl-C is for the program.
  std::signal(SIGINT, SIG_IGN);
  return Tracer(offset).run(pid);
}

#else

int trace(long, char**) {
  std::fputs("karapace-test-fake-clock: it knows x86-64 only\n", stderr);
  return 125;
}

#endif

}  // namespace

int main(int count, char** arguments) {
  if (count < 3) {
    std::fputs("usage: karapace-test-fake-clock SECONDS PROGRAM ARGUMENT...\n", stderr);
    return 125;
  }
  return trace(std::strtol(arguments[1], nullptr, 10), arguments + 2);
}
