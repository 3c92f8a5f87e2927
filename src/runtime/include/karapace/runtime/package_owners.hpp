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

/// Why a package is named.
enum class OwnedBy {
  List,       // it lists the file
  Script,     // its scripts name the file
  Directory,  // nobody else has the directory that the file is in, or a directory above that
};
struct Owner {
  std::string package;
  OwnedBy by = OwnedBy::List;

  bool operator==(const Owner&) const = default;
};
/// "package X", "in a directory of package X".
[[nodiscard]] std::string describe(const Owner& owner);

/// Path -> owner, for those of `paths` (relative, as in an index) of which the databases of dpkg and pacman
/// tell, or the headers of `rpms`: rpm has several kinds of databases, and its packages say the same. `trees`
/// are layers that lie upon each other, in any order. Of a file that no package lists it is the one whose
/// scripts name it, then the one that has the nearest directory above it that anybody lists to itself, or
/// everything that is listed in there.
[[nodiscard]] std::map<std::string, Owner> find_owners(const std::vector<UniqueFd>& trees,
                                                       const std::vector<RpmFile>& rpms,
                                                       const std::vector<std::string>& paths);

}  // namespace karapace::runtime
