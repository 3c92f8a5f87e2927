// SPDX-License-Identifier: Apache-2.0
// Whatever is accepted has exactly one encoding: the one that was read.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "karapace/base/error.hpp"
#include "karapace/store/layer.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): bytes are characters here
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    const std::vector<karapace::store::IndexEntry> entries = karapace::store::decode_index(bytes);
    KARAPACE_ASSERT(karapace::store::encode_index(entries) == bytes);
  } catch (const karapace::CorruptError&) {
    // The only way to be refused.
  }
  return 0;
}
