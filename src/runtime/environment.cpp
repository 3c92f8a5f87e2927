// SPDX-License-Identifier: Apache-2.0
// Variables inside: ours, and of the caller's only those on the allow-list that are not on the deny-list.
// Everything else stays outside, so that no token or socket gets in by accident.
#include <algorithm>
#include <map>
#include <string_view>

#include "host_user.hpp"
#include "karapace/base/error.hpp"
#include "session_paths.hpp"

namespace karapace::runtime {
namespace {

constexpr std::string_view kAllowed[] = {"TERM", "COLORTERM", "LANG",   "LANGUAGE",
                                         "TZ",   "EDITOR",    "VISUAL", "NO_COLOR"};
constexpr std::string_view kAllowedPrefix = "LC_";
// Denied whatever the list above will become.
constexpr std::string_view kDenied[] = {"SSH_AUTH_SOCK", "GPG_AGENT_INFO", "AWS_SECRET_ACCESS_KEY",
                                        "DOCKER_HOST"};
constexpr const char* kPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

bool is_plain_name(std::string_view name) {
  return std::ranges::all_of(name, [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

bool crosses(std::string_view name, std::string_view value) {
  if (!is_plain_name(name) || value.find('\0') != std::string_view::npos) return false;
  if (std::ranges::find(kDenied, name) != std::end(kDenied)) return false;
  return name.starts_with(kAllowedPrefix) || std::ranges::find(kAllowed, name) != std::end(kAllowed);
}

}  // namespace

std::vector<std::pair<std::string, std::string>> session_environment(const SessionRequest& request,
                                                                     const HostUser& user) {
  std::map<std::string, std::string> variables;
  for (const auto& [name, value] : request.host_environment) {
    if (crosses(name, value)) variables.insert_or_assign(name, value);
  }
  if (request.want_terminal) variables.try_emplace("TERM", "xterm-256color");
  variables.try_emplace("LANG", "C.UTF-8");

  const SessionPaths paths = session_paths(request, user);
  variables["HOME"] = paths.home;
  variables["USER"] = variables["LOGNAME"] = paths.user_name;
  // karapace-init puts the shell that is really there.
  variables["SHELL"] = user.shell;
  variables["PATH"] = kPath;
  variables["HOSTNAME"] = variables["KARAPACE_HOSTNAME"] = paths.hostname;
  variables["container"] = "karapace";
  variables["KARAPACE_ENV"] = "1";
  variables["KARAPACE_ENV_ID"] = request.record.env_id;
  if (request.record.name) variables["KARAPACE_ENV_NAME"] = *request.record.name;
  variables["XDG_RUNTIME_DIR"] = paths.runtime_directory;
  if (request.manifest.home == Home::Private || request.as_root) {
    variables["XDG_CONFIG_HOME"] = paths.home + "/.config";
    variables["XDG_CACHE_HOME"] = paths.home + "/.cache";
    variables["XDG_DATA_HOME"] = paths.home + "/.local/share";
    variables["XDG_STATE_HOME"] = paths.home + "/.local/state";
  }
  return {variables.begin(), variables.end()};
}

}  // namespace karapace::runtime
