// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "karapace/runtime/plan/launch_plan.hpp"

namespace karapace::runtime {

struct SubidRange {
  std::uint32_t start = 0;
  std::uint32_t count = 0;
};
/// The ranges of a user in the text of /etc/subuid or /etc/subgid, by name or by number.
[[nodiscard]] std::vector<SubidRange> parse_subid_ranges(std::string_view text, std::string_view name,
                                                         std::uint32_t uid);

/// A map of ids 0 to 65535 in which `own` is itself and the others come from `ranges`, in order. A larger
/// `own` is added. Nothing if the ranges do not suffice.
[[nodiscard]] std::optional<std::vector<IdExtent>> make_mapped_extents(const std::vector<SubidRange>& ranges,
                                                                       std::uint32_t own);

}  // namespace karapace::runtime
