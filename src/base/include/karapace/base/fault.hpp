// SPDX-License-Identifier: Apache-2.0
// The fault hook: every mutating system call of base asks it first. In builds without KARAPACE_FAULT_HOOK it
// is nothing. With it, KARAPACE_FAULT="<n>:<errno name>" makes the n-th call fail, "<n>+:<errno name>" that
// and all later ones, and "<n>:kill" ends the process there with SIGKILL; "count:<file>" appends the number
// of calls to a file at exit. Tests walk n from 1 upwards until a run was not disturbed any more.
#pragma once

#ifdef KARAPACE_FAULT_HOOK
#include <string>
#endif

namespace karapace::fault {

#ifdef KARAPACE_FAULT_HOOK
/// True if the call named `operation` must fail now; errno is set.
[[nodiscard]] bool injected(const char* operation) noexcept;
/// For tests inside one process: counts from 0 again, as if the process had started with
/// KARAPACE_FAULT=`spec`.
/// "" disarms. Aborts if `spec` is none of the above.
void arm(const std::string& spec);
/// Calls since the process started or arm(), and their names in order: "open write fsync".
[[nodiscard]] unsigned long calls() noexcept;
[[nodiscard]] std::string trace();
#else
[[nodiscard]] inline constexpr bool injected(const char* /*operation*/) noexcept { return false; }
#endif

}  // namespace karapace::fault
