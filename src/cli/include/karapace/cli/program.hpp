// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace karapace::cli {

/// The whole program but main(): parses, dispatches, reports failures. `words` is argv without argv[0].
/// Returns the exit status; enter and exec do not return when they succeed. Never throws.
[[nodiscard]] int run_program(const std::vector<std::string>& words) noexcept;

}  // namespace karapace::cli
