// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "karapace/base/unique_fd.hpp"
#include "karapace/runtime/session.hpp"
#include "karapace/schema/manifest.hpp"

namespace karapace::runtime {

/// A mount of the manifest that may be made: its host side, open and without symlinks in its path.
struct AllowedMount {
  Mount mount;
  std::string host_path;  // canonical
  UniqueFd host;          // O_PATH: the very file that was checked
  bool is_directory = false;
};

/// Checks and opens every mount. See check_mounts for the rules and errors.
[[nodiscard]] std::vector<AllowedMount> allow_mounts(const Manifest& manifest,
                                                     const std::string& manifest_directory,
                                                     const std::string& store_root, const HostUser& user);

/// True if `path` is `directory` or lies below it, by whole components. Both absolute and canonical.
[[nodiscard]] bool is_within(std::string_view path, std::string_view directory) noexcept;

/// readlink(2).
[[nodiscard]] std::string read_link(const std::string& path);

/// The path of an open file, without symlinks. Throws NotFound if it was deleted.
[[nodiscard]] std::string canonical_path(FdRef file);

}  // namespace karapace::runtime
