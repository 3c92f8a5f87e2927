// SPDX-License-Identifier: Apache-2.0
#include "pending_work.hpp"

#include <fcntl.h>

#include <algorithm>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/store/commit.hpp"
#include "wal_entry.hpp"

namespace karapace::store {

bool PendingWork::brings(const std::string& layer) const {
  const UniqueFd all = layout_.staging();
  for (const DirectoryEntry& entry : list_directory(all)) {
    try {
      const auto staging = try_open_beneath(all, entry.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      if (!staging) continue;
      const std::optional<SwitchPlan> plan = read_switch_plan(*staging);
      if (plan && plan->layer && plan->layer->has_hex(layer)) return true;
    } catch (const Error&) {
      // No plan, or one that was not written to its end: then nothing was named yet.
    }
  }
  return false;
}

bool PendingWork::is_changing_hands(const std::string& env_id, const std::string& other) const {
  const UniqueFd wal = layout_.open_dir("store/wal");
  for (const DirectoryEntry& entry : list_directory(wal)) {
    try {
      const std::optional<std::string> text = try_read_file_at(wal, entry.name, kMaxWalEntryBytes);
      if (!text) continue;
      const WalEntry operation = parse_wal_text(*text, entry.name.substr(0, entry.name.find('.')));
      if (std::ranges::any_of(operation.steps, [&](const WalStep& step) {
            return step.kind == WalStep::Kind::DropName && (step.id == env_id || step.id == other);
          }))
        return true;
    } catch (const Error&) {
      // No entry of the log; who checks that one tells.
    }
  }
  return false;
}

}  // namespace karapace::store
