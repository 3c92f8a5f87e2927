// SPDX-License-Identifier: Apache-2.0
// apt above a base layer: resolve with the base's own apt, install without network with its own dpkg.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "packages/package_manager.hpp"

namespace karapace::runtime::apt {

[[nodiscard]] std::unique_ptr<PackageManager> make_manager();

/// See PackageManager::resolve.
[[nodiscard]] PackageResolution resolve(BuildContext& context, const ResolveRequest& request);

/// "Package: .. Auto-Installed: 1" for everything that nobody asked for, added to what the base has; sorted.
[[nodiscard]] std::string extended_states(std::string_view base_states,
                                          const std::vector<LockedPackage>& packages,
                                          std::string_view architecture);

}  // namespace karapace::runtime::apt
