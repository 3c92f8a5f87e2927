// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

#include "packages/apt_output.hpp"

namespace karapace::runtime::apt {

/// Who needs whom in a closure of Debian packages, by name or by a name that is provided. All alternatives
/// count: which of them was chosen is what the closure says. See deb-control(5), Depends, Pre-Depends and
/// Provides. Packages are named by their index.
class DebRelations {
 public:
  /// `controls` are the control files of the closure, sorted by name.
  explicit DebRelations(const std::vector<Stanza>& controls);

  /// All packages so that each comes after what it needs. What does not need one another keeps its order, and
  /// so does one package of each circle: the order is a function of the closure alone.
  [[nodiscard]] std::vector<std::size_t> unpack_order() const;
  /// What has to be configured before `packages` can be unpacked: what they pre-depend on, and all that this
  /// needs. In the order of unpacking.
  [[nodiscard]] std::vector<std::size_t> needed_to_unpack(const std::vector<std::size_t>& packages) const;

 private:
  using Edges = std::vector<std::vector<std::size_t>>;

  Edges needs_;  // for each package what it depends or pre-depends on
  Edges pre_depends_;
};

}  // namespace karapace::runtime::apt
