// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "karapace/base/unique_fd.hpp"

namespace karapace {

/// A directory and one name in it, for a system call that takes both. A name without slashes costs nothing;
/// with slashes its directories are opened beneath `dir` without symlinks, so that the call cannot leave
/// `dir`.
class AtPath {
 public:
  /// Throws SystemError if the directories cannot be opened, InvalidInput for a name that ends in ".." or has
  /// a NUL byte (the kernel would see another name than we do).
  AtPath(FdRef dir, const std::string& path);
  [[nodiscard]] int dir() const noexcept { return dir_; }
  [[nodiscard]] const char* name() const noexcept { return name_.c_str(); }

 private:
  UniqueFd parent_;
  int dir_;
  std::string name_;
};

/// path.c_str() if it has no NUL byte, else throws InvalidInput.
[[nodiscard]] const char* c_path(const std::string& path);
/// openat2(2), retried a bounded number of times; -1 and errno. Throws Unsupported where the call is missing.
[[nodiscard]] int openat2_retrying(int dir, const char* path, int flags, mode_t mode, unsigned long resolve);
/// `open "etc/passwd"`, for messages.
[[nodiscard]] std::string describe(std::string_view operation, std::string_view path);

}  // namespace karapace
