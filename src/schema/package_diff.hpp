// SPDX-License-Identifier: Apache-2.0
// Package lists against each other.
#pragma once

#include <string_view>
#include <vector>

#include "karapace/schema/lock_diff.hpp"

namespace karapace {

/// One package that differs. Both pointers: it changed.
struct PackagePair {
  const LockedPackage* from = nullptr;
  const LockedPackage* to = nullptr;
  [[nodiscard]] const LockedPackage& any() const noexcept { return to != nullptr ? *to : *from; }
  [[nodiscard]] bool requested() const noexcept {
    return (from != nullptr && from->requested) || (to != nullptr && to->requested);
  }
};

/// Pairs of one name each, in the order of names. Both lists are sorted as a sealed lock's.
[[nodiscard]] std::vector<PackagePair> package_differences(const std::vector<LockedPackage>& a,
                                                           const std::vector<LockedPackage>& b);

/// The same file from the same place, which one manifest asks for and the other does not.
[[nodiscard]] bool differs_in_request_only(const PackagePair& pair);

/// `what` is "package" or "base-package".
[[nodiscard]] InputChange describe(const PackagePair& pair, std::string_view what);

}  // namespace karapace
