// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "karapace/base/error.hpp"
#include "karapace/base/json.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

/// Floats and large integers have no canonical form; everything else must come back as it was.
bool has_canonical_form(const karapace::Json& value) {
  if (value.is_number_float()) return false;
  constexpr std::int64_t kLimit = std::int64_t{1} << 53;
  if (value.is_number_unsigned()) return value.get<std::uint64_t>() < static_cast<std::uint64_t>(kLimit);
  if (value.is_number_integer()) return value.get<std::int64_t>() > -kLimit;
  if (!value.is_structured()) return true;
  for (const karapace::Json& element : value) {
    if (!has_canonical_form(element)) return false;
  }
  return true;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  KARAPACE_ASSERT(karapace::is_utf8(karapace::printable(text)));
  try {
    const karapace::Json value = karapace::parse_json(text, "input");
    KARAPACE_ASSERT(karapace::is_utf8(text));
    if (!has_canonical_form(value)) return 0;
    const std::string canonical = karapace::canonical_json(value);
    KARAPACE_ASSERT(karapace::parse_json(canonical, "canonical form") == value);
    KARAPACE_ASSERT(karapace::canonical_json(karapace::parse_json(canonical, "canonical form")) == canonical);
  } catch (const karapace::Error& error) {
    KARAPACE_ASSERT(error.code() == karapace::ErrorCode::InvalidInput);
  }
  return 0;
}
