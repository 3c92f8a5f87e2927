// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "karapace/schema/lock_file.hpp"
#include "packages/base_system.hpp"
#include "packages/deb_relations.hpp"
#include "packages/dpkg.hpp"

namespace karapace::runtime::apt {

/// A package of a closure and where its file is inside.
struct DebFile {
  LockedPackage package;
  std::string path;
};

/// Unpacks `files`, what a package needs before it; dpkg keeps a directory that is there where a package has
/// a symlink, and refuses the directory's package if the symlink came first. `relations` are those of
/// `files`, with the same indices.
///
/// As many as possible at once, which is what makes it fast, and only what Debian's policy (7.2, Pre-Depends)
/// allows: what a package pre-depends on is configured before it, with all that this needs and nothing else,
/// so that most scripts see a system that is complete. Triggers wait for the end. Where that does not help,
/// a script needs what its package does not say, or packages pre-depend on each other in a circle: all that
/// can be configured is, with its triggers, and then the first package that is left is unpacked in spite of
/// what it needs. Throws External, or NoSpace, with what dpkg said about that one.
void unpack_closure(BaseSystem& system, Dpkg& dpkg, const std::vector<DebFile>& files,
                    const DebRelations& relations);

}  // namespace karapace::runtime::apt
