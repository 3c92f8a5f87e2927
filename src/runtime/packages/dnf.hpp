// SPDX-License-Identifier: Apache-2.0
// dnf above a base layer: resolve with the base's own dnf, install without network with its own rpm.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "karapace/base/unique_fd.hpp"
#include "packages/package_manager.hpp"

namespace karapace::runtime::dnf {

[[nodiscard]] std::unique_ptr<PackageManager> make_manager();

/// "#!/usr/bin/python3 -s\n..." -> "/usr/bin/python3". Empty if a program does not begin so.
[[nodiscard]] std::string interpreter_of(std::string_view program);

/// The interpreter of the base's dnf 4. Throws Unsupported if there is none: dnf 5 is no Python.
[[nodiscard]] std::string find_interpreter(FdRef base);

}  // namespace karapace::runtime::dnf
