// SPDX-License-Identifier: Apache-2.0
// What apt and dpkg print, as data. Pure functions; every input is bounded by whoever ran the program.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "packages/package_manager.hpp"

namespace karapace::runtime::apt {

/// One line of `apt-get --print-uris` with Acquire::ForceHash=SHA256.
struct PrintedUri {
  std::string uri;  // percent-encoded
  std::uint64_t size = 0;
  std::string sha256;
};
/// Lines that are no URI are skipped; a URI without SHA256 is External ("the archive has no SHA256 for ...").
[[nodiscard]] std::vector<PrintedUri> parse_print_uris(std::string_view output);

/// One package that `apt-get -s install` would install.
struct SimulatedInstall {
  std::string name;         // without ":arch"
  std::string old_version;  // of a package in the base that is upgraded
  std::string version;
  std::string arch;
};
struct Simulation {
  std::vector<SimulatedInstall> installs;
  std::vector<std::string> removals;
};
[[nodiscard]] Simulation parse_simulation(std::string_view output);

/// A stanza of a Packages, status or control file. Field names are kept as written; lookups ignore case.
class Stanza {
 public:
  void add(std::string name, std::string value);
  /// Empty if there is none.
  [[nodiscard]] std::string_view get(std::string_view name) const noexcept;
  void set(std::string_view name, std::string value);
  /// "Name: value\n" for each field, continuation lines kept.
  [[nodiscard]] std::string text() const;
  [[nodiscard]] bool empty() const noexcept { return fields_.empty(); }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};
[[nodiscard]] std::vector<Stanza> parse_stanzas(std::string_view text);

/// Names that apt said it does not know or cannot install, sorted, without duplicates.
[[nodiscard]] std::vector<std::string> unknown_packages(std::string_view stderr_text);

/// Of `candidates`, those that stand in the way according to apt's "unmet dependencies": what others need in
/// another version, or, if there is none of these, who needs it. In the order of `candidates`.
[[nodiscard]] std::vector<std::string> packages_in_the_way(std::string_view output,
                                                           const std::vector<std::string>& candidates);

/// NAME of "NAME:ARCH", "NAME=VERSION" and "NAME/SUITE".
[[nodiscard]] std::string_view name_in_request(std::string_view request);
/// Those of `requested` (NAME, with ":ARCH", "=VERSION" or "/SUITE" behind it) that apt would have to
/// interpret: NAME is none of `known`, which is sorted, so that it could be a regular expression, a task or a
/// package to remove; or what is behind it could be more than its words.
[[nodiscard]] std::vector<std::string> inexact_names(const std::vector<std::string>& requested,
                                                     const std::vector<std::string>& known);

/// Who provides the virtual package `name`, as apt lists them when it cannot choose.
[[nodiscard]] std::vector<std::string> virtual_providers(std::string_view output, std::string_view name);

/// A package in dpkg's database. See dpkg-query(1), --showformat.
struct PackageState {
  std::string status;  // "installed", "unpacked", ...
  std::string name;
  std::string version;
  std::string arch;
  std::string qualified;  // "name", or "name:arch" where the name could be that of several
};
/// "status<TAB>name<TAB>version<TAB>architecture<TAB>qualified" per line; others are left out.
[[nodiscard]] std::vector<PackageState> parse_states(std::string_view output);
/// Its files are there: unpacked, and configured or not.
[[nodiscard]] bool has_files(const PackageState& state) noexcept;

}  // namespace karapace::runtime::apt
