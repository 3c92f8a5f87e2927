// SPDX-License-Identifier: Apache-2.0
#include "pending_work.hpp"

#include <fcntl.h>

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
  return any_logged_step(layout_, [&](const WalStep& step) {
    return step.kind == WalStep::Kind::DropName && (step.id == env_id || step.id == other);
  });
}

bool PendingWork::concerns(const std::string& env_id) const {
  return any_logged_step(layout_, [&](const WalStep& step) { return step.id == env_id; });
}

}  // namespace karapace::store
