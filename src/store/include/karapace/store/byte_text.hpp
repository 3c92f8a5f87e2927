// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace karapace::store {

/// Names are bytes and JSON is text: two hexadecimal digits per byte.
[[nodiscard]] std::string bytes_to_hex(std::string_view bytes);
/// Throws InvalidInput.
[[nodiscard]] std::string hex_to_bytes(std::string_view hex);

}  // namespace karapace::store
