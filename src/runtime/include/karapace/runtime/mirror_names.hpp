// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "karapace/schema/lock_file.hpp"

namespace karapace::runtime {

/// What KARAPACE_MIRROR names and is none of `repositories`, nor Debian's, nor the image server. Throws
/// InvalidInput on text that is not a list of name=url.
[[nodiscard]] std::vector<std::string> unused_mirrors(const std::vector<Repository>& repositories);

}  // namespace karapace::runtime
