// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mutex>
#include <utility>

namespace karapace {

/// A value that can only be reached with its lock held.
template <typename T>
class Synchronized {
 public:
  Synchronized() = default;
  explicit Synchronized(T value) : value_(std::move(value)) {}
  template <typename F>
  decltype(auto) with(F&& body) {
    const std::lock_guard guard(mutex_);
    return std::forward<F>(body)(value_);
  }

 private:
  std::mutex mutex_;
  T value_{};
};

}  // namespace karapace
