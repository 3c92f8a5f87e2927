// SPDX-License-Identifier: Apache-2.0
// The process that is pid 1 of the environment: it makes the root file system, then keeps the namespaces
// alive.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "karapace/base/unique_fd.hpp"
#include "karapace/runtime/plan/launch_plan.hpp"
#include "program.hpp"

namespace karapace::init {

inline constexpr const char* kHolderName = "karapace-holder";
/// Where the holder keeps the namespace of EnvironmentPlan::nested_user, for pidfd_getfd(2).
inline constexpr int kNestedUserFd = 100;

/// The supervisor's side of a holder.
struct Holder {
  pid_t pid = -1;  // -1 if we joined a running one
  UniqueFd pidfd;
  UniqueFd control;  // its end of file tells the holder to go, unless it was told to stay
};

/// The namespaces of a plan, as clone flags.
[[nodiscard]] std::uint64_t namespaces_of(const runtime::EnvironmentPlan& environment);

/// Makes the namespaces and a holder in them; returns when the root file system stands. Throws what went
/// wrong, also what the holder reports.
[[nodiscard]] Holder start_holder(const runtime::LaunchPlan& plan, const ProgramFile& program);

/// Start: writes run/holder and lets the holder outlive us.
void record_and_release(const runtime::LaunchPlan& plan, Holder& holder);

/// The holder itself after it executed karapace-init anew from a read-only mount. Never returns.
[[noreturn]] void continue_holder(const runtime::LaunchPlan& plan, UniqueFd control);

}  // namespace karapace::init
