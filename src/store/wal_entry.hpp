// SPDX-License-Identifier: Apache-2.0
// The text of an entry of the intent log, and how its file is written and locked. See docs/store-spec.md.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "karapace/base/file_lock.hpp"
#include "karapace/base/unique_fd.hpp"
#include "karapace/store/wal.hpp"

namespace karapace::store {

inline constexpr std::size_t kMaxWalEntryBytes = 64 * 1024;
inline constexpr std::size_t kMaxWalSteps = 64;

struct WalEntry {
  std::string op_id;  // 32 hex digits
  OpKind kind = OpKind::Build;
  std::string env_id;  // "" where the operation has none
  std::string timestamp;
  std::vector<WalStep> steps;
};

[[nodiscard]] bool is_op_id(std::string_view text) noexcept;
[[nodiscard]] std::string wal_file_name(const std::string& op_id);
/// Throws InvalidInput if an id is not one.
void check_wal_entry(const WalEntry& entry);
[[nodiscard]] std::string make_wal_text(const WalEntry& entry);
/// CorruptError for everything that is wrong with it.
[[nodiscard]] WalEntry parse_wal_text(std::string_view text, const std::string& op_id);
/// Whether an operation in the log, running or dead, has a step that `is_meant` says yes to. What is no entry
/// has none: recovery sets it aside.
[[nodiscard]] bool any_logged_step(const StoreLayout& layout,
                                   const std::function<bool(const WalStep&)>& is_meant);
/// Writes the entry durably under its name, replacing an earlier version, and returns the lock of the new
/// file. There is no moment at which the name shows a file that is not locked, so recovery never takes a
/// living operation for a dead one.
[[nodiscard]] FileLock write_wal_entry(FdRef wal, const WalEntry& entry);

}  // namespace karapace::store
