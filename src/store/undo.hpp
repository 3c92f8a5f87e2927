// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "karapace/store/wal.hpp"
#include "wal_entry.hpp"

namespace karapace::store {

enum class StepResult {
  Done,
  Later,       // somebody uses what it is about: keep the entry
  RecordGone,  // FinishDestroy: the record is removed, the directory is not
};
/// Idempotent. `begun_at` is the entry's timestamp. Throws what the removal throws.
StepResult undo_step(const StoreLayout& layout, const WalStep& step, const std::string& begun_at,
                     const TreeRemover& remove_tree);
/// Steps last to first, then the entry. Returns true if everything was done; otherwise the entry stays for
/// the next time, and `lock` is the lock of what it is then.
bool undo_entry(const StoreLayout& layout, FdRef wal, WalEntry entry, FileLock& lock,
                const TreeRemover& remove_tree);

}  // namespace karapace::store
