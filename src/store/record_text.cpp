// SPDX-License-Identifier: Apache-2.0
#include "record_text.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "karapace/base/digest.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/text.hpp"

namespace karapace::store {
namespace {

constexpr ChecksumForm kForm{",\n  \"checksum\": \"", "\n}"};
constexpr std::size_t kHexDigits = 2 * Digest::kSize;
constexpr char kQuote = '"';

Digest checksum_of(std::string_view body, std::string_view close) { return hash_pieces({body, close}); }

}  // namespace

void append_checksum(std::string& text, const ChecksumForm& form) {
  const std::string hex = checksum_of(text, form.close).hex();
  text += form.before;
  text += hex;
  text += kQuote;
  text += form.close;
}

std::string_view check_checksum(std::string_view text, const ChecksumForm& form, std::string_view what) {
  const std::size_t tail_size = form.before.size() + kHexDigits + 1 + form.close.size();
  const std::string_view body = text.substr(0, text.size() - std::min(text.size(), tail_size));
  const std::string_view tail = text.substr(body.size());
  const std::string_view stored =
      tail.substr(std::min(tail.size(), form.before.size())).substr(0, kHexDigits);
  const bool has_one = !body.empty() && tail.starts_with(form.before) && tail.ends_with(form.close) &&
                       tail[form.before.size() + kHexDigits] == kQuote;
  if (!has_one) throw CorruptError(what, "a text with a checksum", "none");
  if (const Digest found = checksum_of(body, form.close); !found.has_hex(stored))
    throw CorruptError(what, std::string(printable(stored)), found.hex());
  return body;
}

std::string make_record_text(const OrderedJson& record) {
  KARAPACE_ASSERT(record.is_object() && !record.empty() && !record.contains("checksum"));
  std::string text = pretty_json(record);
  KARAPACE_ASSERT(text.ends_with(kForm.close));
  text.resize(text.size() - kForm.close.size());
  append_checksum(text, kForm);
  return text;
}

Json parse_record_text(std::string_view text, std::string_view what) {
  static_cast<void>(check_checksum(text, kForm, what));
  try {
    Json value = parse_json(text, what);
    if (!value.is_object()) throw CorruptError(what, "a JSON object", value.type_name());
    return value;
  } catch (const CorruptError&) {
    throw;
  } catch (const Error& error) {
    throw CorruptError(what, "a JSON object", error.message());
  }
}

const Json& require(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) throw Error(ErrorCode::InvalidInput, fmt::format("\"{}\" is missing", key));
  return *found;
}

std::string require_string(const Json& object, const char* key, std::size_t max_bytes) {
  const Json& value = require(object, key);
  if (!value.is_string()) throw Error(ErrorCode::InvalidInput, fmt::format("\"{}\" is not a string", key));
  const auto& text = value.get_ref<const std::string&>();
  if (text.size() > max_bytes) throw Error(ErrorCode::InvalidInput, fmt::format("\"{}\" is too long", key));
  return text;
}

std::uint64_t require_unsigned(const Json& object, const char* key) {
  const Json& value = require(object, key);
  if (!value.is_number_unsigned())
    throw Error(ErrorCode::InvalidInput, fmt::format("\"{}\" is not a count", key));
  return value.get<std::uint64_t>();
}

std::string require_hash_or_empty(const Json& object, const char* key) {
  std::string text = require_string(object, key, kHexDigits);
  if (!text.empty() && !Digest::is_valid(text)) {
    throw Error(ErrorCode::InvalidInput, fmt::format("\"{}\" is not a digest: {}", key, printable(text)));
  }
  return text;
}

std::string require_hash(const Json& object, const char* key) {
  std::string text = require_hash_or_empty(object, key);
  if (text.empty()) throw Error(ErrorCode::InvalidInput, fmt::format("\"{}\" is empty", key));
  return text;
}

}  // namespace karapace::store
