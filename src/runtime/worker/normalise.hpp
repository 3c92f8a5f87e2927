// SPDX-License-Identifier: Apache-2.0
// What an installation leaves behind that depends on the moment or the machine, taken out again.
#pragma once

#include <string_view>

#include "worker/work_tree.hpp"

namespace karapace::worker {

/// Keeps services from being started by package scripts. Put into the upper directory for an installation.
inline constexpr std::string_view kPolicyRcD = "#!/bin/sh\nexit 101\n";

/// A tree made by a bootstrap: nothing lies below it.
void normalise_base(const WorkTree& tree);
/// The upper directory of an offline installation. Removing means removing from the upper only, so that what
/// the base has shows again; there is never a whiteout for something the installation created.
void normalise_layer(const WorkTree& tree);
/// A tree that a user brought: only what belongs to the moment it is mounted.
void normalise_foreign(const WorkTree& tree);

}  // namespace karapace::worker
