// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace karapace::cli {

/// On a terminal through $PAGER (default: less, which ends at once if everything fits), elsewhere, and with
/// an empty PAGER or "cat", to standard output.
void write_paged(std::string_view text);

}  // namespace karapace::cli
