// SPDX-License-Identifier: Apache-2.0
// Whatever decodes has exactly that encoding; whatever does not is refused with InvalidInput.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "karapace/base/error.hpp"
#include "karapace/runtime/plan/holder_record.hpp"
#include "karapace/runtime/plan/launch_plan.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    const auto plan = karapace::runtime::decode_plan(bytes);
    KARAPACE_ASSERT(karapace::runtime::encode_plan(plan) == bytes);
    KARAPACE_ASSERT(!karapace::runtime::explain_plan(plan).empty());
  } catch (const karapace::Error& error) {
    KARAPACE_ASSERT(error.code() == karapace::ErrorCode::InvalidInput);
  }
  if (const auto record = karapace::runtime::parse_holder_record(bytes))
    KARAPACE_ASSERT(karapace::runtime::format_holder_record(*record).size() <= size);
  return 0;
}
