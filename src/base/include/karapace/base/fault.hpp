// SPDX-License-Identifier: Apache-2.0
// The fault hook: every mutating system call of base asks it first. In builds without KARAPACE_FAULT_HOOK it is
// nothing. With it, KARAPACE_FAULT="<n>:<errno name>" makes the n-th call fail and "<n>:kill" ends the process
// there with SIGKILL; "count:<file>" appends the number of calls to a file at exit. Tests walk n from 1 upwards.
#pragma once

namespace karapace::fault {

#ifdef KARAPACE_FAULT_HOOK
/// True if the call named `operation` must fail now; errno is set.
[[nodiscard]] bool injected(const char* operation) noexcept;
#else
[[nodiscard]] inline constexpr bool injected(const char* /*operation*/) noexcept { return false; }
#endif

}  // namespace karapace::fault
