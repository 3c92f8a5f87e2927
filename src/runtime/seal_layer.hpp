// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "karapace/base/digest.hpp"
#include "karapace/runtime/backend.hpp"
#include "karapace/runtime/worker.hpp"

namespace karapace::runtime {

/// The end of every build step that makes a layer: publishes it, or describes it where the context asks for
/// that.
[[nodiscard]] Digest seal_layer(BuildContext& context, const SealRequest& request);

}  // namespace karapace::runtime
