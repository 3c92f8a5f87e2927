// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace karapace::cli {

/// The completion script for bash, elvish, fish, powershell or zsh. Names of environments are asked for when
/// the user presses Tab. Throws InvalidInput for another shell.
[[nodiscard]] std::string completion_script(std::string_view shell);

}  // namespace karapace::cli
