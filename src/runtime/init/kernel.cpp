// SPDX-License-Identifier: Apache-2.0
#include "kernel.hpp"

#include <fcntl.h>
#include <link.h>
#include <linux/keyctl.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>

#include "karapace/base/error.hpp"

namespace karapace::init {

int check(int result, std::string_view what) {
  if (result < 0) throw_errno(what);
  return result;
}

Clone clone_process(std::uint64_t namespaces) {
  int pidfd = -1;
  clone_args arguments{};
  arguments.flags = namespaces | CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  const long pid = ::syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid < 0) throw_errno("make the namespaces");
  return Clone{static_cast<pid_t>(pid), pid > 0 ? UniqueFd(pidfd) : UniqueFd()};
}

UniqueFd open_inside(FdRef root, const std::string& path, int flags, mode_t mode) {
  open_how how{};
  how.flags = static_cast<unsigned>(flags | O_CLOEXEC);
  how.mode = mode;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  long fd = -1;
  // EAGAIN: a rename raced with the walk. Nobody else is in these trees yet, so a few tries are plenty.
  for (int attempt = 0; attempt < 16; ++attempt) {
    fd = ::syscall(SYS_openat2, root.get(), path.c_str(), &how, sizeof how);
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) break;
  }
  return UniqueFd(static_cast<int>(fd));
}

void write_file(const std::string& path, std::string_view content) {
  const UniqueFd file(check(::open(path.c_str(), O_WRONLY | O_CLOEXEC), "open " + path));
  const ssize_t written = ::write(file.get(), content.data(), content.size());
  if (written < 0) throw_errno("write " + path);
  if (static_cast<std::size_t>(written) != content.size()) throw SystemError(EIO, "write " + path);
}

void close_all_from(int first, std::initializer_list<int> keep) {
  constexpr std::size_t kMost = 8;
  KARAPACE_ASSERT(keep.size() <= kMost);
  std::array<int, kMost> kept{};
  const auto last = std::copy_if(keep.begin(), keep.end(), kept.begin(), [&](int fd) { return fd >= first; });
  std::sort(kept.begin(), last);
  auto from = static_cast<unsigned>(first);
  for (auto fd = kept.begin(); fd != last; ++fd) {
    const auto number = static_cast<unsigned>(*fd);
    if (number > from) check(::close_range(from, number - 1, 0), "close inherited descriptors");
    from = std::max(from, number + 1);
  }
  check(::close_range(from, UINT_MAX, 0), "close inherited descriptors");
}

void set_inheritable(int fd) { check(::fcntl(fd, F_SETFD, 0), "pass a descriptor on"); }

void leave_session_keyring() noexcept {
  // It fails in a kernel without keyrings, and where the user has used up the quota; the system call filter
  // keeps a session from them also then.
  [[maybe_unused]] const long keyring = ::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr);
}

int wait_for(pid_t pid) {
  siginfo_t info{};
  while (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED) != 0) {
    if (errno != EINTR) throw_errno("wait for a child process");
  }
  return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

void release_program_pages() noexcept {
  // Only what is never written: dropped pages of the others would be lost. The first object is the program.
  const auto release = [](dl_phdr_info* object, std::size_t /*size*/, void* /*data*/) noexcept {
    const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    for (int i = 0; i < object->dlpi_phnum; ++i) {
      const ElfW(Phdr)& segment = object->dlpi_phdr[i];
      if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
      const std::uintptr_t begin = (object->dlpi_addr + segment.p_vaddr) & ~(page - 1);
      const std::uintptr_t end =
          (object->dlpi_addr + segment.p_vaddr + segment.p_memsz + page - 1) & ~(page - 1);
      // Only a hint: what it does not do costs memory and nothing else.
      static_cast<void>(::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED));
    }
    return 1;
  };
  ::dl_iterate_phdr(release, nullptr);
}

int poll_long(pollfd* fds, nfds_t count) noexcept {
  constexpr int kSettledMs = 100;
  static bool released = false;
  if (!released) {
    const int ready = ::poll(fds, count, kSettledMs);
    if (ready != 0) return ready;
    released = true;
    release_program_pages();
  }
  return ::poll(fds, count, -1);
}

void complain(std::string_view text, std::string_view fix) noexcept {
  std::string line = "karapace: ";
  line += text;
  line += '\n';
  if (!fix.empty()) (line += fix) += '\n';
  // Nothing is left to be done if stderr is gone.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace karapace::init
