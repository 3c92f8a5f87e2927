// SPDX-License-Identifier: Apache-2.0
// nlohmann-json with our limits, and the canonical form.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>

namespace karapace {

using Json = nlohmann::json;                 // keys sorted
using OrderedJson = nlohmann::ordered_json;  // keys in declared order

struct JsonLimits {
  std::size_t max_bytes = 16 * 1024 * 1024;
  std::size_t max_depth = 64;
};
/// Strict: UTF-8, no duplicate keys, no trailing text. Throws InvalidInput naming `what`.
[[nodiscard]] Json parse_json(std::string_view text, std::string_view what, const JsonLimits& limits = {});
/// RFC 8785 for what we use: objects, arrays, strings, booleans, null and integers below 2^53.
/// Floating point numbers are an assertion failure.
[[nodiscard]] std::string canonical_json(const Json& value);
/// Two-space indent, no trailing newline.
[[nodiscard]] std::string pretty_json(const OrderedJson& value);

/// True if `text` is well-formed UTF-8 (no surrogates, no overlong forms).
[[nodiscard]] bool is_utf8(std::string_view text) noexcept;
/// `text` for a terminal or log: control characters and invalid UTF-8 as \xNN, at most `limit` bytes.
[[nodiscard]] std::string printable(std::string_view text, std::size_t limit = 200);

}  // namespace karapace
