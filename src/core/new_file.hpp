// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "karapace/base/unique_fd.hpp"

namespace karapace::core {

/// Makes a file of the user's: only the whole one has the name, and nobody's file is replaced
/// (AlreadyExists). On return it survives a power cut. `path` is absolute.
void write_new_file(const std::string& path, const std::function<void(FdRef)>& fill);

}  // namespace karapace::core
