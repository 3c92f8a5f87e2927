// SPDX-License-Identifier: Apache-2.0
// The text of every small JSON record of the store: pretty JSON whose last key is "checksum", the blake3 of
// the same text without that key. The checksum is over the bytes, so it sees every flipped bit, and it is not
// optional.
#pragma once

#include <string>
#include <string_view>

#include "karapace/base/json.hpp"

namespace karapace::store {

inline constexpr std::size_t kMaxRecordBytes = 256 * 1024;

/// How a text ends in its checksum, which is over all before it and what closes the text without one.
struct ChecksumForm {
  std::string_view before;  // up to the digits, the opening quote included
  std::string_view close;
};
/// `text` is whole but for what closes it.
void append_checksum(std::string& text, const ChecksumForm& form);
/// What append_checksum was given. CorruptError about `what` without a checksum, or with a wrong one.
[[nodiscard]] std::string_view check_checksum(std::string_view text, const ChecksumForm& form,
                                              std::string_view what);

/// Pretty text of `record` with its checksum. `record` must not be empty and must not have the key yet.
[[nodiscard]] std::string make_record_text(const OrderedJson& record);
/// Checks and parses. `what` names the record in the CorruptError that every fault ends in.
[[nodiscard]] Json parse_record_text(std::string_view text, std::string_view what);

/// A member that must be there. Throws InvalidInput.
[[nodiscard]] const Json& require(const Json& object, const char* key);
[[nodiscard]] std::string require_string(const Json& object, const char* key, std::size_t max_bytes);
[[nodiscard]] std::uint64_t require_unsigned(const Json& object, const char* key);
/// "" or 64 lower-case hex digits; anything else throws InvalidInput, so that no record can name a path.
[[nodiscard]] std::string require_hash_or_empty(const Json& object, const char* key);
[[nodiscard]] std::string require_hash(const Json& object, const char* key);

}  // namespace karapace::store
