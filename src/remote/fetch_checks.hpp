// SPDX-License-Identifier: Apache-2.0
// What may go to karapace-fetch.
#pragma once

#include <string_view>

#include "karapace/remote/fetch.hpp"

namespace karapace::remote {

/// http or https, printable, with something behind it.
[[nodiscard]] bool is_web_address(std::string_view url);
/// One line that a header can hold.
[[nodiscard]] bool is_header_value(std::string_view text);
/// With every number in a range that makes sense.
[[nodiscard]] FetchOptions bounded(FetchOptions options);

}  // namespace karapace::remote
