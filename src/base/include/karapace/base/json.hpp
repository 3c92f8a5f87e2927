// SPDX-License-Identifier: Apache-2.0
// nlohmann-json with our limits, and the canonical form.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>

#include "karapace/base/text.hpp"

// json.cpp has the code: compiled once instead of in each file that reads or writes JSON, which is a fourth
// of what those cost.
extern template class nlohmann::basic_json<>;
extern template class nlohmann::basic_json<nlohmann::ordered_map>;

namespace karapace {

using Json = nlohmann::json;                 // keys sorted
using OrderedJson = nlohmann::ordered_json;  // keys in declared order

struct JsonLimits {
  std::size_t max_bytes = std::size_t{16} * 1024 * 1024;
  std::size_t max_depth = 64;
};
/// Strict: UTF-8, no duplicate keys, no trailing text. Throws InvalidInput naming `what`.
[[nodiscard]] Json parse_json(std::string_view text, std::string_view what, const JsonLimits& limits = {});
/// RFC 8785 for what we use: objects, arrays, strings, booleans, null and integers below 2^53.
/// Floating point numbers and larger integers are an assertion failure, invalid UTF-8 is InvalidInput.
[[nodiscard]] std::string canonical_json(const Json& value);
/// Two-space indent, no trailing newline. Invalid UTF-8 is InvalidInput: nothing is replaced silently.
[[nodiscard]] std::string pretty_json(const OrderedJson& value);

}  // namespace karapace
