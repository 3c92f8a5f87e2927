// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace karapace::cli {

/// "812 B", "1.4 MiB".
[[nodiscard]] std::string size_text(std::uint64_t bytes);

}  // namespace karapace::cli
