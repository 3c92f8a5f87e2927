// SPDX-License-Identifier: Apache-2.0
// What operations in the log, running or dead, are about to do to what a reader sees.
#pragma once

#include <string>

#include "karapace/store/layout.hpp"

namespace karapace::store {

/// Looks anew each time it is asked. `layout` must outlive it.
class PendingWork {
 public:
  explicit PendingWork(const StoreLayout& layout) : layout_(layout) {}

  /// A commit has named the layer, or is about to, and it may not be there yet.
  [[nodiscard]] bool brings(const std::string& layer) const;
  /// One of the two gives its name to the other, and for a moment both have it.
  [[nodiscard]] bool is_changing_hands(const std::string& env_id, const std::string& other) const;
  /// An operation is about to make, change or remove the environment.
  [[nodiscard]] bool concerns(const std::string& env_id) const;

 private:
  const StoreLayout& layout_;
};

}  // namespace karapace::store
