// SPDX-License-Identifier: Apache-2.0
// Files that package scripts and package managers leave behind and that are no part of a layer: caches and
// backups, secrets that everybody who has the lock would share, what is random or knows the time.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "worker/work_tree.hpp"

namespace karapace::worker {

/// Every entry whose path fits `pattern`, in the order of the names: a "*" in a component (fnmatch(3)) fits
/// any characters of a name; the first component has none.
void for_each_match(const WorkTree& tree, std::string_view pattern,
                    const std::function<void(const std::string& path)>& visit);

/// Of the first line that begins with `prefix`, what comes from `from` on. Nothing if there is no such line.
[[nodiscard]] std::optional<std::string> cut_line(std::string_view text, std::string_view prefix,
                                                  std::string_view from);

/// With `prefix` and `value` in the place of every line that begins with `prefix`.
[[nodiscard]] std::string replace_value(std::string_view text, std::string_view prefix,
                                        std::string_view value);

/// A list of ucf's, "SUM  /PATH" or "PACKAGE /PATH" per line, without the lines of `paths` (which have no
/// slash in front).
[[nodiscard]] std::string without_paths(std::string_view list, const std::vector<std::string>& paths);

/// Removes, empties and cuts in `tree` what is known.
void clean_known_files(const WorkTree& tree);

}  // namespace karapace::worker
