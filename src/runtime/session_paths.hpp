// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "karapace/runtime/session.hpp"

namespace karapace::runtime {

/// Who and where a session is, as seen inside.
struct SessionPaths {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::string user_name;
  std::string home;
  std::string runtime_directory;  // $XDG_RUNTIME_DIR
  std::string hostname;           // "karapace-<short id>"
};
[[nodiscard]] SessionPaths session_paths(const SessionRequest& request, const HostUser& user);

/// The home that the environment shows for the user, whoever the session is.
[[nodiscard]] std::string home_of_user(const Manifest& manifest, const HostUser& user);
[[nodiscard]] std::string runtime_directory_of(std::uint32_t uid);
[[nodiscard]] std::string hostname_of(const store::EnvRecord& record);

}  // namespace karapace::runtime
