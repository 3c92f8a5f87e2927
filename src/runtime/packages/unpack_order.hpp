// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

#include "packages/apt_output.hpp"

namespace karapace::runtime::apt {

/// Indices of `controls` (the control files of a closure, sorted by name) so that each package comes after
/// what it depends on, by its name or by a name that is provided. What does not depend on one another keeps
/// its order, and so does one package of each circle: the order is a function of the closure alone.
/// See deb-control(5), Depends, Pre-Depends and Provides.
[[nodiscard]] std::vector<std::size_t> unpack_order(const std::vector<Stanza>& controls);

}  // namespace karapace::runtime::apt
