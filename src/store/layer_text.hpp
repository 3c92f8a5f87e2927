// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "karapace/store/layer.hpp"

namespace karapace::store {

/// The text of store/layers/<hash>.
[[nodiscard]] std::string make_layer_text(const LayerRecord& record);

}  // namespace karapace::store
