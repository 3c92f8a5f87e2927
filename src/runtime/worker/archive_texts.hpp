// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "karapace/base/unique_fd.hpp"

namespace karapace::worker {

/// The content of regular files in a tar archive (gzip, zstd, xz, bzip2), by their names in it without "./"
/// in front. What the archive does not have is left out. Throws InvalidInput.
[[nodiscard]] std::map<std::string, std::string> read_archive_texts(FdRef archive,
                                                                    const std::vector<std::string>& wanted);

}  // namespace karapace::worker
