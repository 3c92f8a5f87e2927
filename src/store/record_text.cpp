// SPDX-License-Identifier: Apache-2.0
#include "record_text.hpp"

#include <fmt/format.h>

#include "karapace/base/digest.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/text.hpp"

namespace karapace::store {
namespace {

constexpr std::string_view kBefore = ",\n  \"checksum\": \"";
constexpr std::string_view kAfter = "\"\n}";
constexpr std::size_t kHexDigits = 2 * Digest::kSize;
constexpr std::size_t kTail = kBefore.size() + kHexDigits + kAfter.size();

Digest checksum_of(std::string_view text_before_checksum) {
  Hasher hasher;
  hasher.update(text_before_checksum);
  hasher.update(std::string_view("\n}"));
  return hasher.finish();
}

}  // namespace

std::string make_record_text(const OrderedJson& record) {
  KARAPACE_ASSERT(record.is_object() && !record.empty() && !record.contains("checksum"));
  std::string text = pretty_json(record);
  KARAPACE_ASSERT(text.ends_with("\n}"));
  text.resize(text.size() - 2);
  const std::string hex = checksum_of(text).hex();
  text += kBefore;
  text += hex;
  text += kAfter;
  return text;
}

Json parse_record_text(std::string_view text, std::string_view what) {
  if (text.size() <= kTail || !text.ends_with(kAfter))
    throw CorruptError(what, "a record with a checksum", "none");
  const std::string_view body = text.substr(0, text.size() - kTail);
  const std::string_view tail = text.substr(body.size());
  if (!tail.starts_with(kBefore)) throw CorruptError(what, "a record with a checksum", "none");
  const std::string_view stored = tail.substr(kBefore.size(), kHexDigits);
  const std::string found = checksum_of(body).hex();
  if (stored != found) throw CorruptError(what, std::string(printable(stored)), found);
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
