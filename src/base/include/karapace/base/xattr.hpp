// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "karapace/base/unique_fd.hpp"

namespace karapace {

/// Name and value, in bytewise order of the names. `path` is beneath `dir` and not followed if it is a
/// symlink.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> list_xattrs(FdRef dir,
                                                                           const std::string& name);
void set_xattr(FdRef dir, const std::string& name, const std::string& key, const std::string& value);
/// False if there was none.
bool remove_xattr(FdRef dir, const std::string& name, const std::string& key);

}  // namespace karapace
