// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace karapace {

/// The text of a manifest or lock; nothing if there is no such file. Never reads more than `limit` bytes and
/// never waits: throws ManifestError for a larger file and for anything that is not a regular file.
[[nodiscard]] std::optional<std::string> try_read_source_file(const std::string& path, std::size_t limit);

}  // namespace karapace
