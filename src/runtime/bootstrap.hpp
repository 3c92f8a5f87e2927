// SPDX-License-Identifier: Apache-2.0
// Bases of the Debian family, made from pinned packages by mmdebstrap.
#pragma once

#include <vector>

#include "karapace/runtime/backend.hpp"

namespace karapace::runtime {

/// Asks the archive (network) what a minimal system is now: every package by hash.
[[nodiscard]] BaseResolution resolve_bootstrap(BuildContext& context, const ImageReference& image);
/// Installs exactly the pinned packages, without network, and seals the result. Returns the layer.
[[nodiscard]] Digest build_bootstrap(BuildContext& context, const ImageReference& image, const BasePin& pin);

}  // namespace karapace::runtime
