// SPDX-License-Identifier: Apache-2.0
// Any bytes are brought into a form or left alone, and what is in form stays as it is.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "karapace/base/error.hpp"
#include "worker/generated_files.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using Normalise = std::function<std::optional<std::string>(std::string_view)>;
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): bytes are characters here
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto some = [](const std::string& path) { return path.size() % 2 == 0; };
  for (const Normalise& normalise :
       {Normalise(karapace::worker::normalise_java_keystore),
        Normalise(karapace::worker::normalise_lfs_filter),
        Normalise([&](std::string_view text) { return karapace::worker::normalise_ls_r(text, some); }),
        Normalise([](std::string_view text) {
          return karapace::worker::normalise_pieces(text, {"a", "ab", "ba"});
        })}) {
    const auto once = normalise(bytes);
    if (once) KARAPACE_ASSERT(normalise(*once) == once);
  }
  return 0;
}
