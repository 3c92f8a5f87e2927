// SPDX-License-Identifier: Apache-2.0
// What a bare errno from somewhere below cannot say: which store it was, and what is wrong with it.
#pragma once

#include <string>
#include <utility>

#include "karapace/base/error.hpp"
#include "karapace/base/text.hpp"

namespace karapace::cli {

/// Adds the store to a full disk that nothing else was named for. Throws Corrupt if a directory of the store
/// is missing or something else, and that is why `error` came to be.
void explain_store_trouble(Error& error, const std::string& store);

/// Runs `body`, which writes to `path` of the user's and not to the store: a full disk is told with it.
template <typename Body>
decltype(auto) writing_outside(const std::string& path, Body&& body) {
  try {
    return std::forward<Body>(body)();
  } catch (Error& error) {
    if (error.code() == ErrorCode::NoSpace) {
      error.add_context("writing " + printable(path, 4096));
      error.set_fix("Make space there, or write to another file system.");
    }
    throw;
  }
}

}  // namespace karapace::cli
