// SPDX-License-Identifier: Apache-2.0
// Whose file is it? Asked of the package databases that lie in trees and of packages, without running
// anything of them.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "karapace/base/unique_fd.hpp"

namespace karapace::runtime {

/// An .rpm of which something in the trees was installed; nothing if it cannot be opened now.
struct RpmFile {
  std::string package;
  std::function<std::optional<UniqueFd>()> open;
};

/// Path -> package, for those of `paths` (relative, as in an index) of which the databases of dpkg and pacman
/// tell, or the headers of `rpms`: rpm has several kinds of databases, and its packages say the same. `trees`
/// are layers that lie upon each other, in any order. Of a file that no package lists it is the one whose
/// scripts name it, then the one that has its directory to itself.
[[nodiscard]] std::map<std::string, std::string> find_owners(const std::vector<UniqueFd>& trees,
                                                             const std::vector<RpmFile>& rpms,
                                                             const std::vector<std::string>& paths);

}  // namespace karapace::runtime
