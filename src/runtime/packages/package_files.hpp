// SPDX-License-Identifier: Apache-2.0
// The files of locked packages, whatever manager they are for: where they come from and what they are called.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "karapace/runtime/backend.hpp"
#include "karapace/schema/lock_file.hpp"
#include "packages/mirrors.hpp"

namespace karapace::runtime {

/// "git 1:2.39.5", for messages.
[[nodiscard]] std::string label_of(const LockedPackage& package);

/// "name_version_arch" and `suffix`, with ':' as %3a: sorted by name, unique in a closure.
[[nodiscard]] std::string file_name_of(const LockedPackage& package, std::string_view suffix);

/// Links `packages` from the package store into the new directory staging/<name>. Throws InvalidInput for one
/// that is not there.
void link_packages(BuildContext& context, const std::vector<LockedPackage>& packages, const std::string& name,
                   std::string_view suffix);
/// Those of `packages` whose files are in the package store.
[[nodiscard]] std::vector<LockedPackage> present_packages(const BuildContext& context,
                                                          const std::vector<LockedPackage>& packages);

/// URLs of `packages` for the downloader.
[[nodiscard]] std::vector<Artefact> artefacts_of(const std::vector<LockedPackage>& packages,
                                                 const std::vector<Repository>& repositories,
                                                 const Mirrors& mirrors);

/// Adds a repository, or moves the one of that name, for what was resolved from it. Throws Unsupported with
/// `fix` if packages cannot be fetched from `url`.
void put_repository(std::vector<Repository>& repositories, const std::string& name, std::string url,
                    std::string_view fix);

/// In the order of a lock.
void sort_packages(std::vector<LockedPackage>& packages);

[[nodiscard]] std::string percent_decode(std::string_view text);
/// Path below a repository for a URL: everything but unreserved characters and '/' as %XX (so "+" "~" ":" are
/// encoded).
[[nodiscard]] std::string percent_encode_path(std::string_view path);

}  // namespace karapace::runtime
