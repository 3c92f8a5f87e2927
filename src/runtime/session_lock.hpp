// SPDX-License-Identifier: Apache-2.0
// env/<id>/run: "sessions" is locked shared by every session and exclusively by whoever wants none;
// "start.lock" by whoever starts the holder; "holder" names it.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "karapace/base/file_lock.hpp"
#include "karapace/base/unique_fd.hpp"
#include "karapace/store/layout.hpp"

namespace karapace::runtime {

struct LiveHolder {
  pid_t pid = 0;
  UniqueFd pidfd;
};

/// env/<id>/run, made if it is missing. Throws NotFound if there is no env/<id>.
[[nodiscard]] UniqueFd open_run_directory(const store::StoreLayout& store, const std::string& env_id);
/// The same for those who only look.
[[nodiscard]] std::optional<UniqueFd> find_run_directory(const store::StoreLayout& store,
                                                         const std::string& env_id);

/// The recorded holder, if it is that very process and alive.
[[nodiscard]] std::optional<LiveHolder> find_holder(FdRef run_directory);

/// Waits for an operation on the environment, or for a holder that is just going.
[[nodiscard]] FileLock join_sessions(FdRef run_directory);
[[nodiscard]] FileLock lock_start(FdRef run_directory);

}  // namespace karapace::runtime
