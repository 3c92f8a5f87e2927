// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "karapace/base/unique_fd.hpp"

namespace karapace {

/// `size` bytes from `offset`, or fewer where the file ends before. The file offset does not move.
[[nodiscard]] std::string read_range(FdRef fd, std::uint64_t offset, std::size_t size);

}  // namespace karapace
