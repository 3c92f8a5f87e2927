// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "karapace/base/clock.hpp"
#include "karapace/store/layout.hpp"

namespace karapace::store {

enum class EnvState { Defined, Built, Running, Frozen, Archived };
[[nodiscard]] std::string_view to_string(EnvState state) noexcept;        // "Built"
[[nodiscard]] std::string_view to_lower_string(EnvState state) noexcept;  // "built"
[[nodiscard]] std::optional<EnvState> parse_env_state(std::string_view text) noexcept;

/// The record of an environment. `state` is never Running on disk: running is derived from live sessions.
struct EnvRecord {
  std::string env_id;
  std::string short_id;
  std::optional<std::string> name;
  EnvState state = EnvState::Defined;
  std::string manifest_hash;                   // object: canonical manifest JSON
  std::string base_layer;                      // layer digest; "" while Defined
  std::vector<std::string> dependency_layers;  // bottom first
  std::optional<std::string> policy_layer;
  std::string created_at;  // RFC 3339
  std::string updated_at;
  std::uint32_t ref_count = 1;
  // Added by us, after the documented keys:
  std::string ownership = "flat";
  std::string lock_hash;      // object: text of the lock it was built from; "" while Defined
  std::string manifest_path;  // where it was built from; host fact, for people only
  /// Bottom first: above base and dependency layers, below the upper directory.
  std::vector<std::string> snapshot_layers;
  std::optional<std::string> head;  // id of the snapshot that was last committed or restored
  bool archived_frozen = false;     // Archived only: it was Frozen before, and will be again
  bool operator==(const EnvRecord&) const = default;
};

/// Base, dependency and snapshot layers, bottom first: all that an environment mounts below its upper
/// directory.
[[nodiscard]] std::vector<std::string> layer_stack(const EnvRecord& record);

/// True if `text` is what MetadataStore would read as the record of `env_id`.
[[nodiscard]] bool is_current_record(std::string_view text, const std::string& env_id);
/// A record of format 1: a checksum is optional, but right if there is one; name and policy_layer may be
/// missing. CorruptError.
[[nodiscard]] EnvRecord parse_format_1_record(std::string_view text, const std::string& env_id);

/// Valid: 1 to 64 of [A-Za-z0-9_-], not 64 hex digits. Throws InvalidInput.
void check_env_name(std::string_view name);

struct BadRecord {
  std::string file;
  std::string reason;
};
struct RecordList {
  std::vector<EnvRecord> records;  // sorted by env_id
  std::vector<BadRecord> bad;      // present but unreadable: never silently dropped
};

/// store/metadata/<env_id>, pretty JSON with a mandatory checksum over the raw text, and store/names/<name>.
class MetadataStore {
 public:
  explicit MetadataStore(const StoreLayout& layout);
  /// Nothing if missing. CorruptError if unreadable, if the checksum is missing or wrong, or if it names
  /// another env_id.
  [[nodiscard]] std::optional<EnvRecord> find(const std::string& env_id) const;
  [[nodiscard]] RecordList list() const;
  /// Durable. Conflict if the name belongs to another environment.
  void put(const EnvRecord& record);
  /// The same, and if the name is that of the environment `from`, it changes hands. Died in between, both
  /// have it, until drop_taken_name. The caller holds the locks of both.
  void put_taking_name(const EnvRecord& record, const std::string& from);
  /// An environment whose name another one has, too, loses it. Durable.
  void drop_taken_name(const std::string& env_id);
  /// Missing is fine. Durable.
  void remove(const std::string& env_id);
  /// Uses store/names, verified against the record; scans if the index has no answer.
  [[nodiscard]] std::optional<EnvRecord> find_by_name(std::string_view name) const;
  /// For a name that nobody has: the index leads to a record that cannot be read, and may have it.
  [[nodiscard]] std::optional<BadRecord> bad_record_of_name(std::string_view name) const;
  /// Ids (64 hex) whose text begins with `prefix`. Reads names of files only.
  [[nodiscard]] std::vector<std::string> ids_with_prefix(std::string_view prefix) const;

 private:
  void put_with_name_of(const EnvRecord& record, const std::string& from);
  void read_into(RecordList& result, const std::string& name) const;
  const StoreLayout& layout_;
  UniqueFd dir_;
};

}  // namespace karapace::store
