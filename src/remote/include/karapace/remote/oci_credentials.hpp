// SPDX-License-Identifier: Apache-2.0
// Who we are for a registry: what `podman login` and `docker login` left. Credential helpers are programs
// that somebody else configured; they are not started.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "karapace/remote/oci_reference.hpp"

namespace karapace::remote::oci {

struct Credentials {
  std::string user;
  std::string password;
  std::string identity_token;  // then there is no password
};

struct CredentialSearch {
  std::optional<Credentials> found;
  std::string helper;  // name of a credential helper that may have known
};

inline constexpr std::size_t kMaxAuthFileBytes = std::size_t{1} * 1024 * 1024;

/// In one file: containers-auth.json(5), which Docker's config.json looks like. The longest entry that the
/// image's name begins with counts. Throws InvalidInput with `what` in front.
[[nodiscard]] CredentialSearch find_in_auth_file(std::string_view text, const Reference& reference,
                                                 std::string_view what);

/// The files in the order in which they are asked: $REGISTRY_AUTH_FILE and no other if it is set; else
/// $XDG_RUNTIME_DIR/containers/auth.json, ~/.config/containers/auth.json, $DOCKER_CONFIG/config.json or
/// ~/.docker/config.json.
[[nodiscard]] std::vector<std::string> auth_files();
/// The first of those that has them.
[[nodiscard]] CredentialSearch find_credentials(const Reference& reference);

}  // namespace karapace::remote::oci
