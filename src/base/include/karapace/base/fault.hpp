// SPDX-License-Identifier: Apache-2.0
// The fault hook: every mutating system call of base asks it first. In builds without KARAPACE_FAULT_HOOK it
// is nothing. With it, KARAPACE_FAULT="<n>:<errno name>" makes the n-th call fail, "<n>+:<errno name>" that
// and all later ones (with ENOSPC only those that add), and "<n>:kill" ends the process there with SIGKILL;
// "count:<file>" appends the number of calls to a file at exit. Tests walk n from 1 upwards until a run was
// not disturbed any more.
//
// KARAPACE_FAULT="lab:<socket>" asks a crash lab (tests/crash_lab) about every call, and waits for its
// answer. Helper programs ask it too, so the lab sees, stops and ends a whole tree of processes.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace karapace::fault {

/// What is asked and answered on the lab's socket, SOCK_SEQPACKET.
struct LabQuestion {
  char operation[16];
  std::uint64_t device;  // of what is synced or locked
  std::uint64_t inode;
};
/// 0: go on. Otherwise the errno to fail with, or kLabKill.
using LabAnswer = std::int32_t;
inline constexpr LabAnswer kLabKill = -1;

#ifdef KARAPACE_FAULT_HOOK
/// True if the call named `operation` must fail now; errno is set. `fd` is what it syncs.
[[nodiscard]] bool injected(const char* operation, int fd = -1) noexcept;
/// A lab decides about every call: work must then be done in one thread, so that it can be repeated.
[[nodiscard]] bool in_lab() noexcept;
/// The lab's variable for the environment of a helper program; empty if there is no lab.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> environment();
/// For tests inside one process: counts from 0 again, as if the process had started with
/// KARAPACE_FAULT=`spec`.
/// "" disarms. Aborts if `spec` is none of the above.
void arm(const std::string& spec);
/// Calls since the process started or arm(), and their names in order: "open write fsync".
[[nodiscard]] unsigned long calls() noexcept;
[[nodiscard]] std::string trace();
#else
[[nodiscard]] inline constexpr bool injected(const char* /*operation*/, int /*fd*/ = -1) noexcept {
  return false;
}
[[nodiscard]] inline constexpr bool in_lab() noexcept { return false; }
[[nodiscard]] inline std::vector<std::pair<std::string, std::string>> environment() { return {}; }
#endif

}  // namespace karapace::fault
