// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "karapace/runtime/session.hpp"

namespace karapace::runtime {

/// Safe as a line of /etc/passwd and as a directory name: letters, digits, "_-.", not beginning with a digit,
/// "-" or ".".
[[nodiscard]] bool is_user_name(std::string_view name) noexcept;

/// The first well-formed line of that uid in the text of /etc/passwd.
[[nodiscard]] std::optional<HostUser> find_passwd_entry(std::string_view passwd, std::uint32_t uid);

}  // namespace karapace::runtime
