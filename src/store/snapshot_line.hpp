// SPDX-License-Identifier: Apache-2.0
// The text of one line of a snapshot log. See docs/store-spec.md.
#pragma once

#include <string>
#include <string_view>

#include "karapace/store/snapshot_log.hpp"

namespace karapace::store {

inline constexpr std::size_t kMaxSnapshotLineBytes = 64 * 1024;

/// With its newline.
[[nodiscard]] std::string make_snapshot_line(const SnapshotRecord& snapshot);
/// Without its newline. CorruptError for everything that is wrong with it, or with what was asked for.
[[nodiscard]] SnapshotRecord parse_snapshot_line(std::string_view line, std::string_view what,
                                                 Stacks stacks = Stacks::Read);
/// The id that the content gives; `snapshot.id` is not looked at.
[[nodiscard]] std::string snapshot_id_of(const SnapshotRecord& snapshot);

}  // namespace karapace::store
