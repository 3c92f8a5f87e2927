// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace karapace::store {

enum class NoStore {
  NotYet,         // nothing is there, or what the first command that writes was making when it was ended
  VersionIsLost,  // all the rest of a store is
  SomethingElse,
};
/// Why StoreLayout::open_existing has found nothing at `root`. Changes nothing.
[[nodiscard]] NoStore why_no_store(const std::string& root);
/// What whoever named `root` as a store is told: CorruptError if its version is lost, else NotFound.
[[noreturn]] void throw_no_store(const std::string& root);

}  // namespace karapace::store
