// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "karapace/base/error.hpp"
#include "karapace/base/unique_fd.hpp"

namespace karapace::core {

/// Adds the path, and the fix for a full disk there.
void tell_full_disk(Error& error, const std::string& path);

/// Runs `body`, which writes to `path` of the user's: a full disk is told with this path, because it need not
/// be that of the store.
template <typename Body>
decltype(auto) writing_to(const std::string& path, Body&& body) {
  try {
    return std::forward<Body>(body)();
  } catch (Error& error) {
    if (error.code() == ErrorCode::NoSpace) tell_full_disk(error, path);
    throw;
  }
}

/// The directory that a new file or directory of the user's is to be in.
[[nodiscard]] UniqueFd open_parent(const std::string& path);

/// Makes a file of the user's: only the whole one has the name, and nobody's file is replaced
/// (AlreadyExists). On return it survives a power cut. `path` is absolute.
void write_new_file(const std::string& path, const std::function<void(FdRef)>& fill);

}  // namespace karapace::core
