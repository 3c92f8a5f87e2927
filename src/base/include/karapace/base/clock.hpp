// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace karapace {

using Timestamp = std::chrono::sys_time<std::chrono::nanoseconds>;
[[nodiscard]] Timestamp now();
/// RFC 3339, UTC, as "2026-11-22T18:00:38.676282422+00:00"; fraction of 0, 3, 6 or 9 digits.
[[nodiscard]] std::string format_rfc3339(Timestamp time);
/// Throws InvalidInput.
[[nodiscard]] Timestamp parse_rfc3339(std::string_view text);

/// `bytes` random bytes as lower-case hex (getrandom(2)).
[[nodiscard]] std::string random_hex(std::size_t bytes);

}  // namespace karapace
