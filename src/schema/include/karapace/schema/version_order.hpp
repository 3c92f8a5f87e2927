// SPDX-License-Identifier: Apache-2.0
// Which of two versions of a package is the older one: each package format has an order of its own.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "karapace/schema/lock_file.hpp"

namespace karapace {

/// Deb: deb-version(7). Rpm: rpm-version(7), "[epoch:]version[-release]". Alpm: vercmp(8).
enum class VersionOrder : std::uint8_t { Deb, Rpm, Alpm };

/// By the name of the package's file; nothing for other packages (those of the mock backend).
[[nodiscard]] std::optional<VersionOrder> version_order_of(const LockedPackage& package) noexcept;

/// Never throws: any text is a version of some place. Equivalent are "1.0" and "0:1.0-0" (deb), "1.0" and
/// "1.00".
[[nodiscard]] std::weak_ordering compare_versions(std::string_view left, std::string_view right,
                                                  VersionOrder order) noexcept;

struct OlderPackage {
  std::string name;
  std::string before;  // version
  std::string now;     // version
};

/// Packages, by name and architecture, whose newest version in `now` is older than that in `before`; in the
/// order of the names. What came or went is not among them.
[[nodiscard]] std::vector<OlderPackage> find_older(const std::vector<LockedPackage>& before,
                                                   const std::vector<LockedPackage>& now);

}  // namespace karapace
