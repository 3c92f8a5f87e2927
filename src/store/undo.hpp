// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "karapace/store/wal.hpp"
#include "wal_entry.hpp"

namespace karapace::store {

enum class StepResult {
  Done,
  Later,       // somebody uses what it is about: keep the entry
  RecordGone,  // FinishDestroy: the record is removed, the directory is not
};
/// Removes staging/<op_id>. Missing is fine.
void undo_remove_staging(const StoreLayout& layout, const std::string& op_id, const TreeRemover& remover);
/// FinishSwitch. May be repeated.
StepResult finish_switch(const StoreLayout& layout, const std::string& op_id, const std::string& env_id,
                         const SwitchFinisher& finisher);
/// Steps last to first, then the entry. Returns true if everything was done; otherwise the entry stays for
/// the next time, `lock` is the lock of what it is then, and `obstacles` has got why.
bool undo_entry(const StoreLayout& layout, FdRef wal, WalEntry entry, FileLock& lock,
                const TreeRemover& remover, const SwitchFinisher& finisher,
                std::vector<std::string>& obstacles);

/// True if the staging directory `name` has the plan of a commit or restore: until that is finished it may
/// hold what a user wrote, so without its entry in the log nobody may remove it.
[[nodiscard]] bool has_switch_plan(FdRef staging, const std::string& name);

}  // namespace karapace::store
