// SPDX-License-Identifier: Apache-2.0
// What an environment gets from the host and the user it runs for: users, host name, name resolution, home
// and mount points. It is a lower directory of its own above the layers, so nothing of it is ever in a layer
// or looks like a change of the user's.
#pragma once

#include <string>
#include <vector>

#include "karapace/runtime/plan/launch_plan.hpp"
#include "karapace/runtime/session.hpp"

namespace karapace::runtime {

struct MountTarget {
  std::string path;  // as asked for
  bool is_directory = true;
};
struct PlacedTarget {
  std::string path;          // where it really is, without symlinks
  bool in_memory = false;    // in /run or /tmp: made when it is mounted
  bool unreachable = false;  // the environment's own changes hide it
};

struct PolicyRequest {
  std::string env_id;
  std::vector<std::string> layers;  // trees below, top first
  HostUser user;
  std::string home;  // of the user, inside
  std::string hostname;
  bool isolate_network = false;
  std::vector<MountTarget> targets;
};
struct PolicyRoot {
  std::string directory;              // relative to the store root: the topmost lower directory
  std::string adopt_from;             // if it is new: what karapace-init moves there
  std::vector<PlacedTarget> targets;  // as in the request
  std::vector<std::string> login_shells;
};
/// Must be called with run/start.lock held and no holder alive. Throws InvalidInput if a target is a file
/// where a directory is to be mounted, or the other way round.
[[nodiscard]] PolicyRoot ensure_policy(const store::StoreLayout& store, const PolicyRequest& request);

/// Shells to try for the user, best first.
[[nodiscard]] std::vector<std::string> login_shells_of(const HostUser& user);

// Pure parts.
[[nodiscard]] std::string passwd_with_user(const std::string& base, const HostUser& user,
                                           const std::string& home, const std::string& shell);
[[nodiscard]] std::string group_with_user(const std::string& base, const HostUser& user);

}  // namespace karapace::runtime
