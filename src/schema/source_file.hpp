// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace karapace {

/// The text of a manifest or lock; nothing if there is no such file. Never reads more than `limit` bytes and
/// never waits: throws ManifestError for a larger file and for anything that is not a regular file; for a
/// directory with `directory_fix`.
[[nodiscard]] std::optional<std::string> try_read_source_file(const std::string& path, std::size_t limit,
                                                              std::string_view directory_fix);

}  // namespace karapace
