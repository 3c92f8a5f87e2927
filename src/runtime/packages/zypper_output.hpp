// SPDX-License-Identifier: Apache-2.0
// What zypper reads and prints, as data. Pure functions; every input is bounded by whoever ran the program.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "packages/mirrors.hpp"

namespace karapace::runtime::zypper {

/// `zypper --xmlout repos`, of those that are enabled.
struct ConfiguredRepository {
  std::string alias;
  std::string url;                // variables replaced; empty if there is a list of mirrors only
  unsigned priority = 99;         // the smaller one goes first
  bool signed_packages = true;    // as it stands: also whether a good signature of the index is enough
  std::vector<std::string> keys;  // file:/// or whatever was written
};
/// In the order in which zypper prefers them.
[[nodiscard]] std::vector<ConfiguredRepository> parse_repositories(std::string_view xml);

/// `zypper --xmlout install --dry-run`.
struct Planned {
  std::string name;
  std::string version;  // [epoch:]version-release
  std::string arch;
};
struct Plan {
  std::vector<Planned> packages;  // in the end they are there: new or in another version
  std::vector<std::string> removed;
};
[[nodiscard]] Plan parse_plan(std::string_view xml);

/// What zypper says when it cannot: its errors, and the problems of the solver. One per line.
[[nodiscard]] std::string parse_problems(std::string_view xml);

/// `zypper --xmlout search --type package`.
[[nodiscard]] std::vector<std::string> parse_names(std::string_view xml);

/// Those of `requested` (NAME, with "=VERSION" or ".ARCH" behind it, or "REPOSITORY:" before it) whose NAME
/// is none of `known`, which is sorted: patterns, products, files.
[[nodiscard]] std::vector<std::string> unknown_names(const std::vector<std::string>& requested,
                                                     const std::vector<std::string>& known);

/// "<package>" elements of a primary.xml.
struct Described {
  std::string name;
  std::string version;  // an epoch of 0 is none
  std::string arch;
  std::string checksum_kind;
  std::string checksum;
  std::uint64_t size = 0;
  std::string path;
  bool elsewhere = false;  // the path is not below the repository
};
[[nodiscard]] std::vector<Described> parse_descriptions(std::string_view xml);

/// The content of .repo files, contacting the mirrors that are named for its repositories.
[[nodiscard]] std::string with_mirrors(std::string_view configuration, const Mirrors& mirrors);

}  // namespace karapace::runtime::zypper
