// SPDX-License-Identifier: Apache-2.0
// Whose file is it? Asked of the package databases that lie in trees, without running anything of them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "karapace/base/unique_fd.hpp"

namespace karapace::runtime {

/// Path -> package, for those of `paths` (relative, as in an index) of which the databases of dpkg and pacman
/// tell. `trees` are layers that lie upon each other, in any order. Of a file that no package lists it is the
/// one whose scripts name it, then the one that has its directory to itself.
[[nodiscard]] std::map<std::string, std::string> find_owners(const std::vector<UniqueFd>& trees,
                                                             const std::vector<std::string>& paths);

}  // namespace karapace::runtime
