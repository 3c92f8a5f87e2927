// SPDX-License-Identifier: Apache-2.0
// zypper above a base layer: resolve with the base's own zypper, install without network with its own rpm.
#pragma once

#include <memory>

#include "packages/package_manager.hpp"

namespace karapace::runtime::zypper {

[[nodiscard]] std::unique_ptr<PackageManager> make_manager();

}  // namespace karapace::runtime::zypper
