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

/// The "<package>" elements, as they are written, that have one of `names`, out of a repository's primary.xml
/// (plain or gzip, zstd, xz, bzip2): all of one can be hundreds of megabytes. Throws InvalidInput.
[[nodiscard]] std::string read_rpm_descriptions(FdRef index, const std::vector<std::string>& names);

}  // namespace karapace::worker
