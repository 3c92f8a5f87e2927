// SPDX-License-Identifier: Apache-2.0
// Any bytes are either a manifest that survives its canonical form, or a ManifestError fit for a terminal.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "karapace/schema/identity.hpp"
#include "karapace/schema/manifest.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace karapace;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const Manifest manifest = parse_manifest(text, "fuzz.toml");
    KARAPACE_ASSERT(parse_manifest_canonical_json(manifest_canonical_json(manifest)) == manifest);
    static_cast<void>(compute_preliminary_id(manifest));
  } catch (const ManifestError& error) {
    for (const char c : std::string_view(error.what()))
      KARAPACE_ASSERT(static_cast<unsigned char>(c) >= 0x20);
  }
  return 0;
}
