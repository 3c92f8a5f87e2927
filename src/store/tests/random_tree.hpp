// SPDX-License-Identifier: Apache-2.0
// Trees with everything a Linux file system allows, made from a seed.
#pragma once

#include <cstdint>

#include "karapace/base/unique_fd.hpp"

namespace karapace::store::testing {

struct TreeOptions {
  unsigned entries = 60;
  bool owners = false;  // give files to other users, if we may: that needs root or a mapped range
};
/// Fills `root`. Only root (of a user namespace) can work on files and directories without permissions, so
/// only it gets some. Prints nothing; the caller prints the seed when a test fails.
void fill_random_tree(FdRef root, std::uint32_t seed, const TreeOptions& options);

}  // namespace karapace::store::testing
