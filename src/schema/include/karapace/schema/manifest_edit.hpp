// SPDX-License-Identifier: Apache-2.0
// Changing one value of a manifest that somebody wrote, and not a byte beside it.
#pragma once

#include <string>
#include <string_view>

namespace karapace {

/// The text with another base.image. Throws ManifestError, and Unsupported if that cannot be done.
[[nodiscard]] std::string replace_base_image(std::string_view text, std::string_view file_name,
                                             std::string_view image);

}  // namespace karapace
