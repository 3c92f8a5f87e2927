// SPDX-License-Identifier: Apache-2.0
// Where packages come from: source lists, mirrors, and the configuration that shuts the host's own out.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "karapace/runtime/image.hpp"
#include "karapace/schema/lock_file.hpp"
#include "packages/mirrors.hpp"

namespace karapace::runtime::apt {

/// One "deb" line per source, in order. `keyrings`: paths for signed-by, empty for apt's trusted keys.
[[nodiscard]] std::string sources_list(const std::vector<AptSource>& sources, const Mirrors& mirrors,
                                       const std::vector<std::string>& keyrings);
/// The same as one deb822 file with the canonical URLs, for inside the image.
[[nodiscard]] std::string deb822_sources(const std::vector<AptSource>& sources, std::string_view keyring);

/// The lock's repositories of an image: one per name, sorted.
[[nodiscard]] std::vector<Repository> repositories_of(const std::vector<AptSource>& sources);

/// Which repository a URL lies in, and the decoded path below it.
struct LocatedPath {
  std::string repository;
  std::string path;
};
[[nodiscard]] std::optional<LocatedPath> locate(std::string_view uri,
                                                const std::vector<Repository>& repositories,
                                                const Mirrors& mirrors);

/// An apt.conf that points every directory below `directory` and reads no other configuration.
struct AptConfig {
  std::string directory;    // absolute, as apt will see it: has lists/ cache/ etc/ log/
  std::string status_file;  // dpkg's status
  std::string architecture;
  std::string sources_file;   // one-line format; empty: the image's own /etc/apt sources
  std::string sources_parts;  // directory of further lists, with sources_file only
  std::string preferences_file;
  std::string trusted_directory;
  std::string cache_name = "cache";
  bool accept_expired = false;  // archives whose Release file is past its Valid-Until date
};
[[nodiscard]] std::string apt_conf(const AptConfig& config);

}  // namespace karapace::runtime::apt
