// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "karapace/base/error.hpp"

namespace karapace::cli {

inline constexpr int kSuccess = 0;
inline constexpr int kFailure = 1;
inline constexpr int kBadInput = 2;  // wrong usage, manifest, lock file, image, package
inline constexpr int kBadStore = 3;
/// enter and exec: whatever failed, it was not the inner program. As podman, docker and env(1) do.
inline constexpr int kSessionFailure = 125;

/// The one place that turns a failure into an exit status.
[[nodiscard]] int exit_code(ErrorCode code) noexcept;
/// By code, but a store of another format is a matter of the store.
[[nodiscard]] int exit_code(const Error& error) noexcept;
/// 128 + n, as a shell reports a program that signal n ended.
[[nodiscard]] int exit_code(const Cancelled& cancelled) noexcept;

}  // namespace karapace::cli
