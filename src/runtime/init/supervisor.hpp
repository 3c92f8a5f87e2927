// SPDX-License-Identifier: Apache-2.0
// The process that stays outside: starts or joins the holder, starts the session, passes signals and bytes
// on, and ends with the status of the program.
#pragma once

#include "karapace/runtime/plan/launch_plan.hpp"

namespace karapace::init {

/// Returns the exit status for this program. Throws what went wrong before the program ran.
[[nodiscard]] int supervise(const runtime::LaunchPlan& plan);

}  // namespace karapace::init
