// SPDX-License-Identifier: Apache-2.0
// dnf above a base layer: resolve with the base's own dnf, install without network with its own rpm.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "packages/package_manager.hpp"

namespace karapace::runtime::dnf {

[[nodiscard]] std::unique_ptr<PackageManager> make_manager();

/// "#!/usr/bin/python3 -s\n..." -> "/usr/bin/python3". Empty if a program does not begin so.
[[nodiscard]] std::string interpreter_of(std::string_view program);

}  // namespace karapace::runtime::dnf
