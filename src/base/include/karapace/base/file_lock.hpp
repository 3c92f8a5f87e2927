// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>

#include "karapace/base/unique_fd.hpp"

namespace karapace {

enum class LockMode { Shared, Exclusive };

/// flock(2) on an open file: kept by the open file description, freed by the kernel when the process dies.
/// A lock call that fails for any reason but "held" (ENOLCK, ENOSYS, EOPNOTSUPP) throws: nothing runs
/// unlocked.
class FileLock {
 public:
  /// Takes ownership of `file`. Waits; `on_wait` is called once before waiting, so that the user can be told
  /// for whom. While waiting, cancellation of the process throws Cancelled.
  [[nodiscard]] static FileLock acquire(UniqueFd file, LockMode mode,
                                        const std::function<void()>& on_wait = {});
  [[nodiscard]] static std::optional<FileLock> try_acquire(UniqueFd file, LockMode mode);

  [[nodiscard]] FdRef fd() const noexcept { return file_; }
  /// Hands the locked descriptor on (to a child process); the lock lives as long as the description does.
  [[nodiscard]] UniqueFd release() noexcept { return std::move(file_); }

 private:
  explicit FileLock(UniqueFd file) noexcept : file_(std::move(file)) {}
  UniqueFd file_;
};

}  // namespace karapace
