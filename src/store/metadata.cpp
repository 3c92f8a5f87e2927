// SPDX-License-Identifier: Apache-2.0
#include "karapace/store/metadata.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <future>
#include <iterator>

#include "karapace/base/digest.hpp"
#include "karapace/base/durable.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "record_text.hpp"

namespace karapace::store {
namespace {

constexpr std::size_t kMaxNameBytes = 64;
constexpr std::size_t kMaxTimestampBytes = 64;
constexpr std::size_t kMaxPathBytes = 8192;
constexpr std::size_t kMaxLayers = 500;  // what overlayfs mounts
constexpr std::size_t kMaxShortIdBytes = 64;
constexpr std::size_t kShortIdDigits = 12;
/// From so many records on, parsing them takes longer than starting a second thread.
constexpr std::size_t kThreadedList = 200;

struct StateName {
  EnvState state;
  std::string_view name;
  std::string_view lower;
};
constexpr std::array kStates = {
    StateName{EnvState::Defined, "Defined", "defined"}, StateName{EnvState::Built, "Built", "built"},
    StateName{EnvState::Running, "Running", "running"}, StateName{EnvState::Frozen, "Frozen", "frozen"},
    StateName{EnvState::Archived, "Archived", "archived"}};

const StateName& entry_of(EnvState state) noexcept {
  return *std::ranges::find(kStates, state, &StateName::state);
}

void check(bool good, const char* problem) {
  if (!good) throw Error(ErrorCode::InvalidInput, problem);
}

bool is_lower_hex(char c) noexcept { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

bool is_hash_or_empty(const std::string& text) { return text.empty() || Digest::is_valid(text); }

[[noreturn]] void refuse_name(std::string_view name, const char* why) {
  throw Error(ErrorCode::InvalidInput,
              fmt::format("invalid environment name \"{}\": {}", printable(name), why));
}

void check_name_form(std::string_view name) {
  if (name.empty() || name.size() > kMaxNameBytes) refuse_name(name, "it must have 1 to 64 characters");
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  if (!std::ranges::all_of(name, allowed)) refuse_name(name, "only letters, digits, '_' and '-' are allowed");
  // Whatever has 64 hex digits is taken for an id, so this one could never be found.
  if (Digest::is_valid(name)) refuse_name(name, "64 hexadecimal digits are an environment id");
}

/// Both before writing and after reading: no record can name a path or grow without limit.
void check_record(const EnvRecord& record) {
  check_env_id(record.env_id);
  check(!record.short_id.empty() && record.env_id.starts_with(record.short_id),
        "short_id is not the begin of env_id");
  if (record.name) check_name_form(*record.name);
  check(is_hash_or_empty(record.manifest_hash), "manifest_hash is not a digest");
  check(is_hash_or_empty(record.base_layer), "base_layer is not a digest");
  check(record.dependency_layers.size() + record.snapshot_layers.size() <= kMaxLayers,
        "more than 500 layers");
  const auto is_hash = [](const std::string& hash) { return Digest::is_valid(hash); };
  check(std::ranges::all_of(record.dependency_layers, is_hash), "a dependency layer is not a digest");
  check(std::ranges::all_of(record.snapshot_layers, is_hash), "a snapshot layer is not a digest");
  check(!record.head || Digest::is_valid(*record.head), "head is not the id of a snapshot");
  check(!record.policy_layer || Digest::is_valid(*record.policy_layer), "policy_layer is not a digest");
  check(record.created_at.size() <= kMaxTimestampBytes && record.updated_at.size() <= kMaxTimestampBytes,
        "a time is too long");
  check(record.ownership == "flat" || record.ownership == "mapped", "ownership is neither flat nor mapped");
  check(is_hash_or_empty(record.lock_hash), "lock_hash is not a digest");
  check(record.manifest_path.size() <= kMaxPathBytes, "manifest_path is too long");
}

OrderedJson optional_string(const std::optional<std::string>& value) {
  return value ? OrderedJson(*value) : OrderedJson(nullptr);
}

std::string to_text(const EnvRecord& record) {
  OrderedJson json;
  json["env_id"] = record.env_id;
  json["short_id"] = record.short_id;
  json["name"] = optional_string(record.name);
  json["state"] = std::string(to_string(record.state));
  json["manifest_hash"] = record.manifest_hash;
  json["base_layer"] = record.base_layer;
  json["dependency_layers"] = record.dependency_layers;
  json["policy_layer"] = optional_string(record.policy_layer);
  json["created_at"] = record.created_at;
  json["updated_at"] = record.updated_at;
  json["ref_count"] = record.ref_count;
  json["ownership"] = record.ownership;
  json["lock_hash"] = record.lock_hash;
  // JSON is UTF-8 and a path is bytes. It is for people only, so a readable form will do.
  json["manifest_path"] = is_utf8(record.manifest_path) ? record.manifest_path
                                                        : printable(record.manifest_path, kMaxPathBytes / 4);
  json["snapshot_layers"] = record.snapshot_layers;
  json["head"] = optional_string(record.head);
  if (record.archived_frozen) json["archived_frozen"] = true;
  return make_record_text(json);
}

std::optional<std::string> read_optional(const Json& json, const char* key, std::size_t limit) {
  const auto found = json.find(key);
  if (found == json.end() || found->is_null()) return std::nullopt;
  return require_string(json, key, limit);
}

EnvState read_state(const Json& json) {
  const std::optional<EnvState> state = parse_env_state(require_string(json, "state", 16));
  check(state.has_value(), "unknown state");
  // Running is derived from live sessions; on disk it only says that the environment is built.
  return *state == EnvState::Running ? EnvState::Built : *state;
}

std::vector<std::string> read_layers(const Json& list) {
  check(list.is_array(), "the layers are not an array");
  std::vector<std::string> layers;
  for (const Json& layer : list) {
    check(layer.is_string(), "a layer is not a string");
    layers.push_back(layer.get<std::string>());
  }
  return layers;
}

EnvRecord from_json(const Json& json) {
  EnvRecord record;
  record.env_id = require_hash(json, "env_id");
  record.short_id = require_string(json, "short_id", kMaxShortIdBytes);
  record.name = read_optional(json, "name", kMaxNameBytes);
  record.state = read_state(json);
  record.manifest_hash = require_hash_or_empty(json, "manifest_hash");
  record.base_layer = require_hash_or_empty(json, "base_layer");
  record.dependency_layers = read_layers(require(json, "dependency_layers"));
  record.policy_layer = read_optional(json, "policy_layer", 2 * Digest::kSize);
  record.created_at = require_string(json, "created_at", kMaxTimestampBytes);
  record.updated_at = require_string(json, "updated_at", kMaxTimestampBytes);
  const std::uint64_t references = require_unsigned(json, "ref_count");
  check(references <= UINT32_MAX, "ref_count is too large");
  record.ref_count = static_cast<std::uint32_t>(references);
  record.ownership = read_optional(json, "ownership", 16).value_or("flat");
  record.lock_hash = read_optional(json, "lock_hash", 2 * Digest::kSize).value_or("");
  record.manifest_path = read_optional(json, "manifest_path", kMaxPathBytes).value_or("");
  // Environments from before there were snapshots have neither.
  if (const auto layers = json.find("snapshot_layers"); layers != json.end())
    record.snapshot_layers = read_layers(*layers);
  record.head = read_optional(json, "head", 2 * Digest::kSize);
  if (const auto frozen = json.find("archived_frozen"); frozen != json.end()) {
    check(frozen->is_boolean(), "archived_frozen is neither true nor false");
    record.archived_frozen = frozen->get<bool>();
  }
  check_record(record);
  return record;
}

EnvRecord parse_record(std::string_view text, const std::string& env_id) {
  const std::string what = "metadata of environment " + env_id;
  const Json json = parse_record_text(text, what);
  EnvRecord record;
  try {
    record = from_json(json);
  } catch (const Error& error) {
    throw CorruptError(what, "a valid record", error.message());
  }
  // A copied or renamed file must not answer for another environment.
  if (record.env_id != env_id) throw CorruptError(what, "env_id " + env_id, record.env_id);
  return record;
}

/// Of the values in the order in which format 1 wrote them, because its checksum was not over the bytes.
std::string format_1_checksum(const Json& json) {
  OrderedJson ordered;
  for (const char* key : {"env_id", "short_id", "name", "state", "manifest_hash", "base_layer",
                          "dependency_layers", "policy_layer", "created_at", "updated_at", "ref_count"}) {
    if (const auto found = json.find(key); found != json.end()) ordered[key] = *found;
  }
  return hash_bytes(pretty_json(ordered)).hex();
}

std::string read_name_index(FdRef names, const std::string& name) {
  try {
    return try_read_file_at(names, name, 2 * Digest::kSize).value_or("");
  } catch (const Error& error) {
    if (error.code() == ErrorCode::InvalidInput)
      return {};  // too large or no file: an index that says nothing
    throw;
  }
}

/// Two processes that give one name to two environments: the second must see what the first did.
FileLock lock_names(FdRef names) {
  return with_context([] { return std::string("locking store/names"); },
                      [&] {
                        return FileLock::acquire(
                            open_beneath(names, ".lock", O_RDWR | O_CREAT | O_NOFOLLOW, 0600),
                            LockMode::Exclusive);
                      });
}

}  // namespace

bool is_current_record(std::string_view text, const std::string& env_id) {
  try {
    static_cast<void>(parse_record(text, env_id));
    return true;
  } catch (const CorruptError&) {
    return false;  // that is the answer
  }
}

EnvRecord parse_format_1_record(std::string_view text, const std::string& env_id) {
  const std::string what = "metadata of environment " + env_id;
  EnvRecord record;
  try {
    const Json json = parse_json(text, what);
    check(json.is_object(), "it is not a JSON object");
    if (const auto checksum = json.find("checksum"); checksum != json.end() && !checksum->is_null()) {
      // Missing members count as null there.
      Json complete = json;
      complete.emplace("name", nullptr);
      complete.emplace("policy_layer", nullptr);
      const bool right = *checksum == format_1_checksum(json) || *checksum == format_1_checksum(complete);
      check(right, "its checksum is not that of its content");
    }
    record = from_json(json);
  } catch (const Error& error) {
    throw CorruptError(what, "a record of format 1", error.message());
  }
  if (record.env_id != env_id) throw CorruptError(what, "env_id " + env_id, record.env_id);
  return record;
}

std::string_view to_string(EnvState state) noexcept { return entry_of(state).name; }
std::string_view to_lower_string(EnvState state) noexcept { return entry_of(state).lower; }

std::optional<EnvState> parse_env_state(std::string_view text) noexcept {
  const auto* found = std::ranges::find(kStates, text, &StateName::name);
  if (found == kStates.end()) return std::nullopt;
  return found->state;
}

std::vector<std::string> layer_stack(const EnvRecord& record) {
  std::vector<std::string> stack;
  if (!record.base_layer.empty()) stack.push_back(record.base_layer);
  stack.insert(stack.end(), record.dependency_layers.begin(), record.dependency_layers.end());
  stack.insert(stack.end(), record.snapshot_layers.begin(), record.snapshot_layers.end());
  return stack;
}

void check_env_name(std::string_view name) {
  check_name_form(name);
  // A name is looked for first: this one could be found, and destroyed, in place of the environment whose
  // short id it is. Only new names: a record that has one is good, and its environment is found by its id.
  if (name.size() == kShortIdDigits && std::ranges::all_of(name, is_lower_hex))
    refuse_name(name, "12 hexadecimal digits are the short id of an environment");
}

MetadataStore::MetadataStore(const StoreLayout& layout) : layout_(layout), dir_(layout.metadata()) {}

std::optional<EnvRecord> MetadataStore::find(const std::string& env_id) const {
  check_env_id(env_id);
  std::optional<std::string> text;
  try {
    text = try_read_file_at(dir_, env_id, kMaxRecordBytes);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::InvalidInput) throw;
    throw CorruptError("metadata of environment " + env_id, "a small regular file", error.message());
  }
  if (!text) return std::nullopt;
  return parse_record(*text, env_id);
}

RecordList MetadataStore::list() const {
  std::vector<std::string> names;
  for (DirectoryEntry& entry : list_directory(dir_)) {
    if (!entry.name.starts_with(kTemporaryPrefix)) names.push_back(std::move(entry.name));
  }
  const auto read_some = [this, &names](std::size_t begin, std::size_t end) {
    RecordList part;
    for (; begin < end; ++begin) read_into(part, names[begin]);
    return part;
  };
  if (names.size() < kThreadedList) return read_some(0, names.size());
  const std::size_t half = names.size() / 2;
  std::future<RecordList> second = std::async(std::launch::async, read_some, half, names.size());
  RecordList result = read_some(0, half);
  RecordList rest = second.get();
  std::ranges::move(rest.records, std::back_inserter(result.records));
  std::ranges::move(rest.bad, std::back_inserter(result.bad));
  return result;
}

void MetadataStore::read_into(RecordList& result, const std::string& name) const {
  if (!Digest::is_valid(name)) {
    result.bad.push_back({name, "its name is not an environment id"});
    return;
  }
  try {
    if (std::optional<EnvRecord> record = find(name)) result.records.push_back(std::move(*record));
  } catch (const Error& error) {
    if (is_shortage(error)) throw;
    result.bad.push_back({name, error.message()});
  }
}

void MetadataStore::put(const EnvRecord& record) { put_with_name_of(record, {}); }

void MetadataStore::put_taking_name(const EnvRecord& record, const std::string& from) {
  put_with_name_of(record, from);
  drop_taken_name(from);
}

void MetadataStore::drop_taken_name(const std::string& env_id) {
  const FileLock lock = lock_names(layout_.open_dir("store/names"));
  std::optional<EnvRecord> record = find(env_id);
  if (!record || !record->name) return;
  const bool is_taken = std::ranges::any_of(list().records, [&](const EnvRecord& other) {
    return other.name == record->name && other.env_id != env_id;
  });
  if (!is_taken) return;
  record->name.reset();
  replace_file(dir_, env_id, to_text(*record));
}

void MetadataStore::put_with_name_of(const EnvRecord& record, const std::string& from) {
  KARAPACE_ASSERT(record.state != EnvState::Running);
  check_record(record);
  const UniqueFd names = layout_.open_dir("store/names");
  std::optional<EnvRecord> before;
  try {
    before = find(record.env_id);
  } catch (const CorruptError&) {
    // It is about to be replaced by a good one.
  }
  const bool had_name = before && before->name;
  std::optional<FileLock> lock;
  if (record.name || had_name) lock = lock_names(names);
  if (record.name && !(had_name && before->name == record.name)) {
    if (const std::optional<EnvRecord> owner = find_by_name(*record.name);
        owner && owner->env_id != record.env_id && owner->env_id != from) {
      const std::string short_id = owner->env_id.substr(0, 12);
      throw Error(ErrorCode::Conflict,
                  fmt::format("the name '{}' is already used by environment {}", *record.name, short_id),
                  fmt::format("choose another name, or: karapace rename {} OTHER", short_id));
    }
  }
  replace_file(dir_, record.env_id, to_text(record));
  // After the record: an index that lags is slow, one that leads is wrong.
  if (record.name && read_name_index(names, *record.name) != record.env_id) {
    replace_file(names, *record.name, record.env_id);
  }
  if (had_name && before->name != record.name && read_name_index(names, *before->name) == record.env_id) {
    try_unlink_at(names, *before->name);
    sync_directory(names);
  }
}

void MetadataStore::remove(const std::string& env_id) {
  check_env_id(env_id);
  const UniqueFd names = layout_.open_dir("store/names");
  std::vector<std::string> candidates;
  bool look_everywhere = false;
  try {
    const std::optional<EnvRecord> record = find(env_id);
    if (!record) look_everywhere = true;  // somebody began this and died
    if (record && record->name) candidates.push_back(*record->name);
  } catch (const CorruptError&) {
    look_everywhere = true;
  }
  if (look_everywhere) {
    for (const DirectoryEntry& entry : list_directory(names)) {
      if (!entry.name.starts_with('.')) candidates.push_back(entry.name);
    }
  }
  std::optional<FileLock> lock;
  if (!candidates.empty()) lock = lock_names(names);
  try_unlink_at(dir_, env_id);
  sync_directory(dir_);
  for (const std::string& name : candidates) {
    if (read_name_index(names, name) == env_id) try_unlink_at(names, name);
  }
  if (!candidates.empty()) sync_directory(names);
}

std::optional<EnvRecord> MetadataStore::find_by_name(std::string_view name) const {
  check_name_form(name);
  const UniqueFd names = layout_.open_dir("store/names");
  if (const std::string env_id = read_name_index(names, std::string(name)); Digest::is_valid(env_id)) {
    try {
      std::optional<EnvRecord> record = find(env_id);
      if (record && record->name == name) return record;
    } catch (const CorruptError&) {
      // A damaged record has no name. If no other has it either, the answer is that there is none.
    }
  }
  for (EnvRecord& record : list().records) {
    if (record.name == name) return std::move(record);
  }
  return std::nullopt;
}

std::optional<BadRecord> MetadataStore::bad_record_of_name(std::string_view name) const {
  check_name_form(name);
  const std::string env_id = read_name_index(layout_.open_dir("store/names"), std::string(name));
  if (!Digest::is_valid(env_id)) return std::nullopt;
  try {
    static_cast<void>(find(env_id));
    return std::nullopt;
  } catch (const CorruptError& error) {
    return BadRecord{env_id, error.message()};
  }
}

std::vector<std::string> MetadataStore::ids_with_prefix(std::string_view prefix) const {
  std::vector<std::string> ids;
  for (const DirectoryEntry& entry : list_directory(dir_)) {
    if (Digest::is_valid(entry.name) && entry.name.starts_with(prefix)) ids.push_back(entry.name);
  }
  return ids;
}

}  // namespace karapace::store
