// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

namespace karapace::runtime {

/// The system call filter for root in a flat environment: package scripts change owners and ids that do not
/// exist there, so these calls succeed without effect, and so does making device nodes. As bytes of struct
/// sock_filter[].
[[nodiscard]] std::vector<std::uint8_t> make_ownership_filter();

}  // namespace karapace::runtime
