// SPDX-License-Identifier: Apache-2.0
#include "session_paths.hpp"

#include <fmt/format.h>

namespace karapace::runtime {

std::string home_of_user(const Manifest& manifest, const HostUser& user) {
  if (manifest.home == Home::Shared) return user.home;
  return user.uid == 0 ? "/root" : "/home/" + user.name;
}

std::string runtime_directory_of(std::uint32_t uid) { return fmt::format("/run/user/{}", uid); }

std::string hostname_of(const store::EnvRecord& record) { return "karapace-" + record.short_id; }

SessionPaths session_paths(const SessionRequest& request, const HostUser& user) {
  SessionPaths paths;
  paths.hostname = hostname_of(request.record);
  const bool root = request.as_root || user.uid == 0;
  paths.uid = root ? 0 : user.uid;
  paths.gid = root ? 0 : user.gid;
  paths.user_name = root ? "root" : user.name;
  // As root on a host where you are not root: the image's own home of root.
  paths.home = request.as_root && user.uid != 0 ? "/root" : home_of_user(request.manifest, user);
  paths.runtime_directory = runtime_directory_of(paths.uid);
  return paths;
}

}  // namespace karapace::runtime
