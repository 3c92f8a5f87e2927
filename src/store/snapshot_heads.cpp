// SPDX-License-Identifier: Apache-2.0
#include "karapace/store/snapshot_heads.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace karapace::store {

void SnapshotHeads::expect(const EnvRecord& record) {
  if (record.head) heads_.emplace(record.env_id, *record.head);
}

void SnapshotHeads::found(const std::string& env_id, const SnapshotList& list) {
  const auto head = heads_.find(env_id);
  if (head == heads_.end()) return;
  // A damaged line may be the one.
  if (!list.bad.empty() ||
      std::ranges::find(list.snapshots, head->second, &SnapshotRecord::id) != list.snapshots.end())
    heads_.erase(head);
}

std::string SnapshotHeads::reason(const std::string& head) {
  return fmt::format("the list of its snapshots is cut off or gone: {}, which it is on, is not in it",
                     head.substr(0, 12));
}

}  // namespace karapace::store
