// SPDX-License-Identifier: Apache-2.0
// The part of verify_store that looks at what is only a help (build records), at what should not be there,
// and at the intent log.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "karapace/store/integrity.hpp"
#include "karapace/store/layout.hpp"

namespace karapace::store {

using AddFault = std::function<void(IntegrityFault fault)>;
[[nodiscard]] inline IntegrityFault make_fault(std::string kind, std::string hash, std::string reason,
                                               std::vector<std::string> affects = {}, std::string fix = {}) {
  return {.kind = std::move(kind),
          .hash = std::move(hash),
          .reason = std::move(reason),
          .affects = std::move(affects),
          .snapshots = {},
          .fix = std::move(fix)};
}

/// That the directories of every store are directories, and that nobody else may change them. False: one is
/// not there that the other checks look into.
[[nodiscard]] bool check_directories(const StoreLayout& layout, const AddFault& add);
void check_builds(const StoreLayout& layout, const AddFault& add);
/// Links and files where only directories may be: nobody follows them, but somebody put them there. Trees of
/// `told` have a fault already.
void check_places(const StoreLayout& layout, const std::map<std::string, std::string>& told,
                  const AddFault& add);
void check_log(const StoreLayout& layout, const AddFault& add);

}  // namespace karapace::store
