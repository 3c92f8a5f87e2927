// SPDX-License-Identifier: Apache-2.0
// JSON forms shared by the manifest object and the identities.
#pragma once

#include <optional>
#include <vector>

#include "karapace/base/json.hpp"
#include "karapace/schema/manifest.hpp"

namespace karapace {

[[nodiscard]] Json mounts_to_json(const std::vector<Mount>& mounts);
[[nodiscard]] Json limit_to_json(const std::optional<std::uint64_t>& limit);
[[nodiscard]] Json manifest_to_json(const Manifest& manifest);

}  // namespace karapace
