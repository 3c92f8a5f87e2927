// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include "karapace/base/unique_fd.hpp"
#include "karapace/runtime/plan/launch_plan.hpp"

namespace karapace::init {

/// True if a process of the namespace may write these maps itself: one id each, the caller's own.
[[nodiscard]] bool written_inside(const runtime::IdMaps& ids);
void write_own_maps(const runtime::IdMaps& ids);
/// By newuidmap and newgidmap, or directly if we are root.
void write_maps_of(pid_t pid, const runtime::IdMaps& ids);

/// A user namespace in which our id is `user`. It lives as long as the descriptor. The host's /proc must
/// still be there.
[[nodiscard]] UniqueFd make_nested_user(const runtime::NestedUser& user);

}  // namespace karapace::init
