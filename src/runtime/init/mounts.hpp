// SPDX-License-Identifier: Apache-2.0
// Building the root file system of an environment in a mount namespace of our own.
#pragma once

#include <sys/types.h>

#include <vector>

#include "karapace/base/unique_fd.hpp"
#include "karapace/runtime/plan/launch_plan.hpp"

namespace karapace::init {

/// Opens what the bind mounts show, before the root changes and while we still have the caller's groups. One
/// per step; empty for other kinds and for optional sources that are missing. Checks devices by number and
/// checked sources by inode.
[[nodiscard]] std::vector<UniqueFd> open_bind_sources(const std::vector<runtime::MountStep>& steps);

/// No mount of ours reaches the host, none of the host's comes in.
void make_mounts_private();

/// Mounts the overlay. The working directory is the store root. Returns its root directory.
[[nodiscard]] UniqueFd mount_overlay(const runtime::OverlayRoot& overlay);

/// Carries out the steps below `root`. Targets are resolved with `root` as "/", so a link inside never leads
/// outside.
void apply_mounts(FdRef root, const std::vector<runtime::MountStep>& steps,
                  const std::vector<UniqueFd>& sources);

/// Makes `root` the root of this mount namespace and lets the old one go.
void change_root(FdRef root);

}  // namespace karapace::init
