// SPDX-License-Identifier: Apache-2.0
#include "karapace/store/byte_text.hpp"

#include <charconv>

#include "karapace/base/error.hpp"

namespace karapace::store {

std::string bytes_to_hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * bytes.size());
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    hex += kDigits[byte >> 4U];
    hex += kDigits[byte & 15U];
  }
  return hex;
}

std::string hex_to_bytes(std::string_view hex) {
  std::string bytes;
  bytes.reserve(hex.size() / 2);
  for (; hex.size() >= 2; hex.remove_prefix(2)) {
    unsigned char byte = 0;
    const auto [end, error] = std::from_chars(hex.data(), hex.data() + 2, byte, 16);
    if (error != std::errc{} || end != hex.data() + 2)
      throw Error(ErrorCode::InvalidInput, "not hexadecimal digits");
    bytes += static_cast<char>(byte);
  }
  if (!hex.empty()) throw Error(ErrorCode::InvalidInput, "half a byte of hexadecimal digits");
  return bytes;
}

}  // namespace karapace::store
