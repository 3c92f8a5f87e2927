// SPDX-License-Identifier: Apache-2.0
// From what the user typed to one snapshot.
#include <fmt/format.h>

#include <algorithm>

#include "impl.hpp"
#include "karapace/base/text.hpp"

namespace karapace::core {
namespace {

constexpr std::size_t kMinPrefix = 4;  // a shorter one would let an empty shell variable pick a snapshot
constexpr std::size_t kShortId = 12;

}  // namespace

store::SnapshotRecord find_snapshot(const store::StoreLayout& layout, const store::EnvRecord& record,
                                    std::string_view reference) {
  const store::SnapshotLog log(layout);
  const std::vector<store::SnapshotRecord> all = log.read(record.env_id, store::Stacks::Skip).snapshots;
  const auto whole = [&](const store::SnapshotRecord& snapshot) {
    std::optional<store::SnapshotRecord> found = log.find(record.env_id, snapshot.id);
    if (!found)
      throw Error(ErrorCode::NotFound, fmt::format("snapshot {} was removed just now", snapshot.id));
    return *std::move(found);
  };
  std::vector<const store::SnapshotRecord*> found;
  for (const store::SnapshotRecord& snapshot : all) {
    if (snapshot.id == reference) return whole(snapshot);
    if (reference.size() >= kMinPrefix && snapshot.id.starts_with(reference)) found.push_back(&snapshot);
  }
  if (found.size() > 1) {
    std::string ids;
    for (const auto* snapshot : found) ids += (ids.empty() ? "" : ", ") + snapshot->id.substr(0, kShortId);
    throw Error(ErrorCode::InvalidInput,
                fmt::format("'{}' is the beginning of several snapshots: {}", printable(reference), ids),
                "give more digits");
  }
  if (found.size() == 1) return whole(*found.front());
  // The newest, because equal layers may lie on different ones.
  const auto by_layer = std::ranges::find(all.rbegin(), all.rend(), reference, &store::SnapshotRecord::layer);
  if (by_layer != all.rend()) return whole(*by_layer);
  throw Error(
      ErrorCode::NotFound,
      fmt::format("{} has no snapshot '{}'", record.name.value_or(record.short_id), printable(reference)),
      all.empty()
          ? "karapace commit makes one"
          : fmt::format("karapace snapshots {} shows what there is", record.name.value_or(record.short_id)));
}

}  // namespace karapace::core
