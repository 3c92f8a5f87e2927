// SPDX-License-Identifier: Apache-2.0
// The system calls karapace-init makes, each named by what it is for: a failure throws SystemError with that
// text.
#pragma once

#include <poll.h>
#include <signal.h>
#include <sys/types.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "karapace/base/unique_fd.hpp"

namespace karapace::init {

/// Throws SystemError("<what>: <errno text>") if `result` is negative; gives it back otherwise.
int check(int result, std::string_view what);

struct Clone {
  pid_t pid = -1;  // 0 in the child
  UniqueFd pidfd;
};
/// clone3(2) with a pidfd and no shared memory; only right in a single-threaded process.
[[nodiscard]] Clone clone_process(std::uint64_t namespaces);

/// openat2(2) that takes `root` for "/" and follows no magic link. `mode` only with O_CREAT.
[[nodiscard]] UniqueFd open_inside(FdRef root, const std::string& path, int flags, mode_t mode = 0);

void write_file(const std::string& path, std::string_view content);

/// Closes every descriptor from `first` up except those in `keep`; negative ones are ignored.
void close_all_from(int first, std::initializer_list<int> keep);
void set_inheritable(int fd);

/// Lets go of the caller's session keyring: keys know no namespaces, so whoever has it can read those of the
/// host.
void leave_session_keyring() noexcept;

/// Waits for the child and returns its exit status, or 128 + signal number.
int wait_for(pid_t pid);

/// Gives the pages of this program's file back to the page cache; the few that a waiting process needs come
/// back when they are touched. An open environment then costs the memory of its programs and little else.
void release_program_pages() noexcept;
/// poll(2) without an end, that releases the program's pages the first time nothing happens for a while.
int poll_long(pollfd* fds, nfds_t count) noexcept;

/// The exit statuses of karapace's own failures, as shells and container engines have them.
inline constexpr int kOwnFailure = 125;
inline constexpr int kCannotExecute = 126;
inline constexpr int kCommandNotFound = 127;

/// "karapace: <text>" on stderr, with the fix on a line of its own.
void complain(std::string_view text, std::string_view fix = {}) noexcept;

}  // namespace karapace::init
