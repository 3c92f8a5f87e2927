// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "karapace/base/unique_fd.hpp"
#include "karapace/runtime/session.hpp"

namespace karapace::runtime {

/// The first session: namespaces, root and mounts of the environment. Writes the policy directory; needs
/// run/start.lock. Descriptors that the plan names are added to `fds`.
void plan_environment(const store::StoreLayout& store, const SessionRequest& request, const HostUser& user,
                      LaunchPlan& plan, std::vector<UniqueFd>& fds);
/// A further session: only which namespaces there are.
void plan_joined_environment(const SessionRequest& request, LaunchPlan& plan);
/// The program.
[[nodiscard]] ProcessPlan plan_process(const store::StoreLayout& store, const SessionRequest& request,
                                       const HostUser& user);

}  // namespace karapace::runtime
