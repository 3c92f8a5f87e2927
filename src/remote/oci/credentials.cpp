// SPDX-License-Identifier: Apache-2.0
#include "karapace/remote/oci_credentials.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/json.hpp"
#include "oci/base64.hpp"

namespace karapace::remote::oci {

namespace {

std::string text_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// Docker writes "https://index.docker.io/v1/" where podman writes "docker.io".
std::string normalised(std::string_view key) {
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (!key.starts_with(scheme)) continue;
    key.remove_prefix(scheme.size());
    key = key.substr(0, key.find('/'));  // what follows is the version of an API
  }
  while (key.ends_with('/')) key.remove_suffix(1);
  const auto slash = std::min(key.find('/'), key.size());
  std::string host(key.substr(0, slash));
  for (char& c : host) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  if (host == "index.docker.io" || host == "registry-1.docker.io") host = "docker.io";
  return host + std::string(key.substr(slash));
}

bool covers(std::string_view key, std::string_view name) {
  return name == key || (name.starts_with(key) && name[key.size()] == '/');
}

bool is_plain_text(std::string_view text) {
  return std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

std::optional<Credentials> read_entry(const Json& entry, std::string_view key, std::string_view what) {
  if (!entry.is_object()) return std::nullopt;
  Credentials credentials;
  credentials.identity_token = text_of(entry, "identitytoken");
  if (const std::string auth = text_of(entry, "auth"); !auth.empty()) {
    const auto decoded = decode_base64(auth);
    const auto colon = decoded ? decoded->find(':') : std::string::npos;
    if (colon == std::string::npos)
      throw Error(ErrorCode::InvalidInput,
                  fmt::format("{}: the entry for {} is damaged", printable(what, 4096), printable(key)),
                  fmt::format("log in again: podman login {}", printable(key)));
    credentials.user = decoded->substr(0, colon);
    credentials.password = decoded->substr(colon + 1);
    while (credentials.password.ends_with('\0')) credentials.password.pop_back();
  } else {
    credentials.user = text_of(entry, "username");
    credentials.password = text_of(entry, "password");
  }
  if (credentials.user.empty() && credentials.identity_token.empty()) return std::nullopt;
  if (!is_plain_text(credentials.user) || !is_plain_text(credentials.password) ||
      !is_plain_text(credentials.identity_token))
    throw Error(ErrorCode::InvalidInput, fmt::format("{}: the entry for {} has control characters",
                                                     printable(what, 4096), printable(key)));
  return credentials;
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

}  // namespace

CredentialSearch find_in_auth_file(std::string_view text, const Reference& reference, std::string_view what) {
  const Json json =
      parse_json(text, printable(what, 4096), {.max_bytes = kMaxAuthFileBytes, .max_depth = 16});
  CredentialSearch search;
  if (!json.is_object()) return search;
  if (const auto helpers = json.find("credHelpers"); helpers != json.end() && helpers->is_object())
    search.helper = text_of(*helpers, reference.host.c_str());
  if (search.helper.empty()) search.helper = text_of(json, "credsStore");
  const auto auths = json.find("auths");
  if (auths == json.end() || !auths->is_object()) return search;
  std::size_t longest = 0;
  for (const auto& [key, entry] : auths->items()) {
    const std::string name = normalised(key);
    if (name.empty() || name.size() <= longest || !covers(name, reference.name())) continue;
    auto credentials = read_entry(entry, key, what);
    if (!credentials) continue;  // a helper's place is marked by an empty entry
    search.found = std::move(credentials);
    longest = name.size();
  }
  return search;
}

std::vector<std::string> auth_files() {
  if (auto only = variable("REGISTRY_AUTH_FILE"); !only.empty()) return {std::move(only)};
  std::vector<std::string> files;
  const std::string home = variable("HOME");
  if (const auto dir = variable("XDG_RUNTIME_DIR"); !dir.empty())
    files.push_back(dir + "/containers/auth.json");
  if (const auto dir = variable("XDG_CONFIG_HOME"); !dir.empty()) {
    files.push_back(dir + "/containers/auth.json");
  } else if (!home.empty()) {
    files.push_back(home + "/.config/containers/auth.json");
  }
  if (const auto dir = variable("DOCKER_CONFIG"); !dir.empty()) {
    files.push_back(dir + "/config.json");
  } else if (!home.empty()) {
    files.push_back(home + "/.docker/config.json");
  }
  return files;
}

CredentialSearch find_credentials(const Reference& reference) {
  CredentialSearch best;
  const bool asked_for = !variable("REGISTRY_AUTH_FILE").empty();
  for (const std::string& path : auth_files()) {
    std::string text;
    try {
      text = read_all(open_path(path, O_RDONLY | O_NONBLOCK), kMaxAuthFileBytes);
    } catch (const SystemError& error) {
      const int number = error.error_number();
      if (asked_for || (number != ENOENT && number != ENOTDIR)) throw;
      continue;  // most people have none of them
    }
    CredentialSearch search = find_in_auth_file(text, reference, path);
    if (search.found) return search;
    if (best.helper.empty()) best.helper = search.helper;
  }
  return best;
}

}  // namespace karapace::remote::oci
