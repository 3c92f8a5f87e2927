// SPDX-License-Identifier: Apache-2.0
// pacman above a base layer: resolve with the base's own pacman, install without network with the same.
#pragma once

#include <memory>

#include "packages/package_manager.hpp"

namespace karapace::runtime::pacman {

[[nodiscard]] std::unique_ptr<PackageManager> make_manager();

}  // namespace karapace::runtime::pacman
