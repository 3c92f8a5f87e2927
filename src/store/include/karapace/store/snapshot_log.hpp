// SPDX-License-Identifier: Apache-2.0
// The snapshots of an environment: store/snapshots/<env_id>, one line each, only ever appended to.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "karapace/store/layout.hpp"
#include "karapace/store/metadata.hpp"

namespace karapace::store {

inline constexpr std::size_t kMaxSnapshotMessageBytes = 4096;

enum class SnapshotKind {
  Commit,  // somebody asked for it
  Safety,  // taken before a restore, so that nothing is lost
};
[[nodiscard]] std::string_view to_string(SnapshotKind kind) noexcept;  // "commit"

struct SnapshotRecord {
  std::string id;                     // 64 hex digits, the digest of everything below
  std::optional<std::string> parent;  // the environment's head when it was taken
  std::string layer;                  // what this commit sealed
  std::vector<std::string>
      layers;  // the whole stack it stands for: base, dependencies, snapshots, bottom first
  std::string ownership = "flat";
  SnapshotKind kind = SnapshotKind::Commit;
  std::string message;        // UTF-8, may be empty
  std::string created_at;     // RFC 3339
  std::uint64_t entries = 0;  // of `layer`
  std::uint64_t bytes = 0;    // of `layer`
  bool operator==(const SnapshotRecord&) const = default;
};

/// Fills in the id. Throws InvalidInput for a record that could not be read back.
void set_snapshot_id(SnapshotRecord& snapshot);

/// Where a line lies in its file, without what ends it.
struct LinePlace {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::size_t number = 0;  // from 1
};

struct SnapshotList {
  std::vector<SnapshotRecord> snapshots;  // oldest first
  std::vector<LinePlace> places;          // of the snapshots
  std::vector<BadRecord> bad;             // damaged lines: skipped, never dropped
};

/// A stack of layers is most of a snapshot's line, and a list for people shows none.
enum class Stacks { Read, Skip };

/// Who looks at snapshots as they are read. Both are called in the order of the file, and may keep what they
/// get.
struct SnapshotVisitor {
  std::function<void(SnapshotRecord&, const LinePlace&)> snapshot;
  std::function<void(BadRecord)> bad;  // a damaged line
};

/// Writers hold the environment's lock; readers need none.
class SnapshotLog {
 public:
  explicit SnapshotLog(const StoreLayout& layout);
  /// Empty if the environment has no snapshots. A last line without its end was never reported to anybody and
  /// is ignored. CorruptError if the file as a whole cannot be read. With Stacks::Skip `layers` says nothing,
  /// and whether they are damaged is not looked at.
  [[nodiscard]] SnapshotList read(const std::string& env_id, Stacks stacks = Stacks::Read) const;
  /// The same without keeping them all: memory and time of one at a time.
  void visit(const std::string& env_id, Stacks stacks, const SnapshotVisitor& visitor) const;
  /// The snapshots whose id begins with `prefix`, as read() with Stacks::Skip has them, but without a look at
  /// other lines: not at damaged ones, and not at those of a program that writes its keys in another order.
  [[nodiscard]] SnapshotList with_id(const std::string& env_id, std::string_view prefix) const;
  /// One of a list that was read without stacks, with its stack. Nothing if it was taken back meanwhile;
  /// CorruptError if its stack is damaged.
  [[nodiscard]] std::optional<SnapshotRecord> whole(const std::string& env_id, const SnapshotList& list,
                                                    std::size_t index) const;
  /// Durable, in one write, behind whatever is whole. Snapshots have their ids already.
  void append(const std::string& env_id, const std::vector<SnapshotRecord>& snapshots);
  /// Takes the snapshot back if it is the last one: for whoever could not finish what it announces. Durable.
  void drop_last(const std::string& env_id, const std::string& snapshot_id);
  /// Puts back the ends of lines, which is all that has another copy: what lies around it. False if there was
  /// nothing to mend. Durable.
  bool mend(const std::string& env_id);
  /// Missing is fine. Durable.
  void remove(const std::string& env_id);
  /// Environments that have a file, by id. What has another name is in `bad`.
  [[nodiscard]] std::vector<std::string> environments(std::vector<BadRecord>* bad = nullptr) const;

 private:
  [[nodiscard]] std::optional<UniqueFd> open_for_reading(const std::string& env_id) const;
  [[nodiscard]] UniqueFd open_for_writing(const std::string& env_id, bool& is_new);
  const StoreLayout& layout_;
};

}  // namespace karapace::store
