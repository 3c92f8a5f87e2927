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
  store::SnapshotList list;
  // The common case, which must not take longer because there are many others.
  if (reference.size() >= kMinPrefix) list = log.with_id(record.env_id, reference);
  if (list.snapshots.empty()) list = log.read(record.env_id, store::Stacks::Skip);
  const std::vector<store::SnapshotRecord>& all = list.snapshots;
  const auto whole = [&](std::size_t index) {
    std::optional<store::SnapshotRecord> found = log.whole(record.env_id, list, index);
    if (!found)
      throw Error(ErrorCode::NotFound, fmt::format("snapshot {} was removed just now", all[index].id));
    return *std::move(found);
  };
  std::vector<std::size_t> found;
  for (std::size_t index = 0; index < all.size(); ++index) {
    if (all[index].id == reference) return whole(index);
    if (reference.size() >= kMinPrefix && all[index].id.starts_with(reference)) found.push_back(index);
  }
  if (found.size() > 1) {
    std::string ids;
    for (const std::size_t index : found)
      ids += (ids.empty() ? "" : ", ") + all[index].id.substr(0, kShortId);
    throw Error(ErrorCode::InvalidInput,
                fmt::format("'{}' is the beginning of several snapshots: {}", printable(reference), ids),
                "give more digits");
  }
  if (found.size() == 1) return whole(found.front());
  // The newest, because equal layers may lie on different ones.
  for (std::size_t index = all.size(); index-- > 0;) {
    if (all[index].layer == reference) return whole(index);
  }
  throw Error(
      ErrorCode::NotFound,
      fmt::format("{} has no snapshot '{}'", record.name.value_or(record.short_id), printable(reference)),
      all.empty()
          ? "karapace commit makes one"
          : fmt::format("karapace snapshots {} shows what there is", record.name.value_or(record.short_id)));
}

}  // namespace karapace::core
