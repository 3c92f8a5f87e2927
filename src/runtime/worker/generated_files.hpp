// SPDX-License-Identifier: Apache-2.0
// Files that package scripts generate and that hold a time, a chance or the order of a directory beside what
// is wanted of them. They are brought into a form that depends on their content alone.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "worker/work_tree.hpp"

namespace karapace::worker {

/// A Java key store (format JKS, password "changeit") with certificates only: sorted by alias, all of one
/// time. Nothing for anything else.
[[nodiscard]] std::optional<std::string> normalise_java_keystore(std::string_view bytes);

/// The file name database of TeX: directories and names sorted, without those of which `is_there` is false.
/// Nothing for anything else.
using IsThere = std::function<bool(const std::string& path)>;
[[nodiscard]] std::optional<std::string> normalise_ls_r(std::string_view text, const IsThere& is_there);

/// What a script put together from files in the order of their directory, below a heading of its own.
/// `pieces` are their contents in the order of their names, which the result has. Nothing for anything else.
[[nodiscard]] std::optional<std::string> normalise_pieces(std::string_view text,
                                                          const std::vector<std::string>& pieces);

/// git's configuration: the settings of the filter "lfs" sorted, which git-lfs writes in random order.
/// Nothing for anything else.
[[nodiscard]] std::optional<std::string> normalise_lfs_filter(std::string_view text);

/// All of them in `tree`, and those that cannot be brought into such a form are removed.
void normalise_generated_files(const WorkTree& tree);

}  // namespace karapace::worker
