// SPDX-License-Identifier: Apache-2.0
#include "source_file.hpp"

#include <fmt/format.h>

#include <cerrno>

#include "karapace/base/file_at.hpp"
#include "karapace/schema/manifest.hpp"

namespace karapace {

std::optional<std::string> try_read_source_file(const std::string& path, std::size_t limit,
                                                std::string_view directory_fix) {
  UniqueFd file;
  try {
    // O_NONBLOCK: opening a FIFO must not wait for a writer.
    file = open_path(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  } catch (const SystemError& error) {
    if (error.error_number() == ENOENT) return std::nullopt;
    throw ManifestError(path, 0, 0, {}, error.message());
  }
  const struct stat status = stat_fd(file);
  if (S_ISDIR(status.st_mode))
    throw ManifestError(path, 0, 0, {}, "is a directory, not a file", std::string(directory_fix));
  if (!S_ISREG(status.st_mode)) throw ManifestError(path, 0, 0, {}, "is not a regular file");
  if (status.st_size > static_cast<off_t>(limit)) {
    throw ManifestError(
        path, 0, 0, {},
        fmt::format("the file is too large: {} bytes, at most {} are allowed", status.st_size, limit));
  }
  return read_all(file, limit);
}

}  // namespace karapace
