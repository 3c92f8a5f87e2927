// SPDX-License-Identifier: Apache-2.0
// Any bytes are either a lock that reads back as written, or a ManifestError; and the two readers agree.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "karapace/schema/lock_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using namespace karapace;

std::optional<LockFile> try_parse(const std::string& text) {
  try {
    return parse_lock(text, "fuzz.lock");
  } catch (const ManifestError& error) {
    for (const char c : std::string_view(error.what()))
      KARAPACE_ASSERT(static_cast<unsigned char>(c) >= 0x20);
    return std::nullopt;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const std::optional<LockFile> lock = try_parse(text);
  // A tab in front makes the plain reader give up and changes nothing for the library.
  KARAPACE_ASSERT(try_parse("\t\n" + text) == lock || text.starts_with("\xEF\xBB\xBF"));
  if (!lock) return 0;
  LockFile sealed = *lock;
  seal_identity(sealed);
  KARAPACE_ASSERT(parse_lock(serialize_lock(sealed), "again.lock") == sealed);
  verify_integrity(sealed, "again.lock");
  return 0;
}
