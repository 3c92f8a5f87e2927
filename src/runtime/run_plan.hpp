// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string_view>

#include "karapace/base/subprocess.hpp"
#include "karapace/runtime/plan/launch_plan.hpp"

namespace karapace::runtime {

/// Runs an Ephemeral plan to its end. Overlay paths and relative mount sources are below `root`.
[[nodiscard]] RunResult run_plan(FdRef root, LaunchPlan plan, std::string_view input, const RunLimits& limits,
                                 CancelToken* cancel,
                                 const std::function<void(std::string_view)>& on_stderr_line);

}  // namespace karapace::runtime
