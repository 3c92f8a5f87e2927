// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace karapace {

/// What a long operation tells whoever watches. Calls come from one thread. Implementations must not throw.
class ProgressSink {
 public:
  virtual ~ProgressSink() = default;
  /// A new step begins: "base image", "resolve", "download", "install", "seal". `detail` is for people.
  virtual void step(std::string_view name, std::string_view detail) = 0;
  /// Position inside the step. total 0: unknown. `unit` is "bytes", "packages" or "files".
  virtual void advance(std::uint64_t done, std::uint64_t total, std::string_view unit) = 0;
  /// A line worth showing once, e.g. for whom we wait.
  virtual void note(std::string_view text) = 0;
};

/// Ignores everything.
[[nodiscard]] ProgressSink& no_progress();

}  // namespace karapace
