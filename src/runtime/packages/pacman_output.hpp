// SPDX-License-Identifier: Apache-2.0
// What pacman reads and prints, as data. Pure functions; every input is bounded by whoever ran the program.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "packages/package_manager.hpp"

namespace karapace::runtime::pacman {

/// What `pacman-conf` prints: a configuration with every file included and every default written out.
struct Section {
  std::string name;                                        // "options", or that of a repository
  std::vector<std::pair<std::string, std::string>> lines;  // key and value; a switch has no value
  [[nodiscard]] std::vector<std::string> all(std::string_view key) const;
};
[[nodiscard]] std::vector<Section> parse_configuration(std::string_view text);
[[nodiscard]] std::string configuration_text(const std::vector<Section>& sections);
/// Whether packages of `repository` may come without a signature.
[[nodiscard]] bool wants_no_signatures(const Section& options, const Section& repository);

/// One line of `pacman --print --print-format` with kPrintFormat.
inline constexpr std::string_view kPrintFormat = "%n\t%v\t%r\t%l";
struct Printed {
  std::string name;
  std::string version;
  std::string repository;
  std::string url;
};
/// Other lines are skipped.
[[nodiscard]] std::vector<Printed> parse_printed(std::string_view output);

/// "%KEY%" and the lines below it, as the databases have them.
using Description = std::map<std::string, std::vector<std::string>, std::less<>>;
[[nodiscard]] Description parse_description(std::string_view text);
/// The entry of a package in a repository's database, made from the package's own .PKGINFO.
[[nodiscard]] std::string description_of(std::string_view package_info, const LockedPackage& package,
                                         std::string_view file_name);

/// Names of "error: target not found: NAME".
[[nodiscard]] std::vector<std::string> unknown_targets(std::string_view stderr_text);

/// The groups and the virtual packages of several providers that pacman asked about; it goes on with all
/// members and the first provider. See pacman's select_question and group_chosen.
[[nodiscard]] std::vector<std::string> targets_of_choice(std::string_view output);

/// What `pacman -Qi` prints: "Name            : libfoo" and so on, "Description" and the like left out.
[[nodiscard]] std::vector<InstalledPackage> parse_query(std::string_view output);

/// A tar archive of small files.
[[nodiscard]] std::string tar_of(const std::vector<std::pair<std::string, std::string>>& files);

}  // namespace karapace::runtime::pacman
