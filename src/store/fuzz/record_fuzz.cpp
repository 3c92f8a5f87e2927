// SPDX-License-Identifier: Apache-2.0
// Records and entries of the intent log. The checksum is made right, so that the parser behind it is reached.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "karapace/base/digest.hpp"
#include "karapace/base/error.hpp"
#include "wal_entry.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): bytes are characters here
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string op_id(32, '0');
  const std::string checked = std::string(bytes) + ",\n  \"checksum\": \"" +
                              karapace::hash_bytes(std::string(bytes) + "\n}").hex() + "\"\n}";
  for (const std::string_view text : {bytes, std::string_view(checked)}) {
    try {
      const karapace::store::WalEntry entry = karapace::store::parse_wal_text(text, op_id);
      // What was accepted can be written, and names nothing but ids.
      KARAPACE_ASSERT(
          karapace::store::parse_wal_text(karapace::store::make_wal_text(entry), op_id).steps.size() ==
          entry.steps.size());
    } catch (const karapace::CorruptError&) {
      // The only way to be refused.
    }
  }
  return 0;
}
