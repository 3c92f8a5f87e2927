// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "karapace/runtime/plan/launch_plan.hpp"

namespace karapace::runtime {

struct RootMounts {
  bool tty_group = false;  // group 5 is mapped, so terminals can belong to it
  bool host_sys = false;   // the host's /sys, read-only: sessions
  /// Somebody inside is the host's root. Then the kernel's settings in /proc are writable for them, whatever
  /// their capabilities.
  bool host_root = false;
};
/// What every overlay root gets: new /proc, a /dev of its own with the harmless devices, /run and /tmp in
/// memory.
[[nodiscard]] std::vector<MountStep> root_mounts(const RootMounts& options);

}  // namespace karapace::runtime
