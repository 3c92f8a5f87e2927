// SPDX-License-Identifier: Apache-2.0
// The apt steps above a base layer: resolve with the base's own apt, install without network with its own
// dpkg.
#pragma once

#include <string>
#include <vector>

#include "karapace/runtime/backend.hpp"

namespace karapace::runtime::apt {

/// See Backend::resolve_packages.
[[nodiscard]] PackageResolution resolve(BuildContext& context, const ImageReference& image,
                                        const Digest& base_layer, const std::vector<std::string>& names,
                                        const std::vector<LockedPackage>& locked,
                                        const std::vector<Repository>& repositories);
/// See Backend::build_dependencies.
[[nodiscard]] Digest install(BuildContext& context, const Digest& base_layer,
                             const std::vector<LockedPackage>& packages);

/// "Package: .. Auto-Installed: 1" for everything that nobody asked for, added to what the base has; sorted.
[[nodiscard]] std::string extended_states(std::string_view base_states,
                                          const std::vector<LockedPackage>& packages,
                                          std::string_view architecture);

}  // namespace karapace::runtime::apt
