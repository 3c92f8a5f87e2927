// SPDX-License-Identifier: Apache-2.0
// The process that becomes the user's program: identity, rights, terminal, then exec.
#pragma once

#include <signal.h>

#include "karapace/base/unique_fd.hpp"
#include "karapace/runtime/plan/launch_plan.hpp"

namespace karapace::init {

inline constexpr const char* kSessionName = "karapace-session";

/// What a session process has open besides the plan. Raw numbers: they may have come through an exec.
struct SessionFiles {
  int supervisor = -1;   // pidfd of the supervisor
  int terminal = -1;     // slave side of the pty, if there is one
  int nested_user = -1;  // user namespace to enter, if there is one
};

/// In the child, inside all namespaces but the nested one. Returns the exit status for a failure, which it
/// has reported.
[[nodiscard]] int run_session_process(const runtime::LaunchPlan& plan, const SessionFiles& files) noexcept;

}  // namespace karapace::init
