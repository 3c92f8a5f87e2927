// SPDX-License-Identifier: Apache-2.0
#include "wal_entry.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "karapace/base/durable.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "record_text.hpp"

namespace karapace::store {
namespace {

constexpr std::size_t kOpIdDigits = 32;
constexpr int kCreateRounds = 64;

struct KindName {
  OpKind kind;
  const char* name;
};
constexpr std::array kKinds = {KindName{OpKind::Build, "Build"},     KindName{OpKind::Rebuild, "Rebuild"},
                               KindName{OpKind::Commit, "Commit"},   KindName{OpKind::Restore, "Restore"},
                               KindName{OpKind::Destroy, "Destroy"}, KindName{OpKind::Gc, "Gc"},
                               KindName{OpKind::Rename, "Rename"},   KindName{OpKind::Pull, "Pull"},
                               KindName{OpKind::Init, "Init"}};

struct StepName {
  WalStep::Kind kind;
  const char* name;
};
constexpr std::array kSteps = {StepName{WalStep::Kind::RemoveStaging, "RemoveStaging"},
                               StepName{WalStep::Kind::RemoveEnvironment, "RemoveEnvironment"},
                               StepName{WalStep::Kind::FinishDestroy, "FinishDestroy"},
                               StepName{WalStep::Kind::DropName, "DropName"},
                               StepName{WalStep::Kind::FinishSwitch, "FinishSwitch"}};

[[noreturn]] void refuse(std::string message) { throw Error(ErrorCode::InvalidInput, std::move(message)); }

WalStep parse_step(const Json& json) {
  if (!json.is_object() || json.size() != 1) refuse("a step is not an object with one key");
  const auto item = json.items().begin();
  const auto* known = std::ranges::find(kSteps, item.key(), &StepName::name);
  if (known == kSteps.end()) refuse(fmt::format("unknown step \"{}\"", printable(item.key())));
  if (!item.value().is_string()) refuse("the id of a step is not a string");
  return {known->kind, item.value().get<std::string>()};
}

WalEntry from_json(const Json& json) {
  WalEntry entry;
  entry.op_id = require_string(json, "op_id", kOpIdDigits);
  const std::string kind = require_string(json, "kind", 32);
  const auto* known = std::ranges::find(kKinds, kind, &KindName::name);
  if (known == kKinds.end()) refuse(fmt::format("unknown kind \"{}\"", printable(kind)));
  entry.kind = known->kind;
  entry.env_id = require_string(json, "env_id", 64);
  entry.timestamp = require_string(json, "timestamp", 64);
  const Json& steps = require(json, "rollback_steps");
  if (!steps.is_array() || steps.size() > kMaxWalSteps) refuse("\"rollback_steps\" is not a short array");
  for (const Json& step : steps) entry.steps.push_back(parse_step(step));
  check_wal_entry(entry);
  return entry;
}

/// A locked new file. Recovery deletes what looks like a left-over, and may be faster than our lock: then we
/// begin again.
FileLock create_locked(FdRef wal, const std::string& name) {
  for (int round = 0; round < kCreateRounds; ++round) {
    FileLock lock = FileLock::acquire(open_beneath(wal, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600),
                                      LockMode::Exclusive);
    if (stat_fd(lock.fd()).st_nlink > 0) return lock;
  }
  throw Error(ErrorCode::Busy, "somebody keeps deleting new entries of the intent log");
}

}  // namespace

bool is_op_id(std::string_view text) noexcept {
  return text.size() == kOpIdDigits &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string wal_file_name(const std::string& op_id) { return op_id + ".json"; }

void check_wal_entry(const WalEntry& entry) {
  if (!is_op_id(entry.op_id)) refuse("the op_id is not 32 hexadecimal digits");
  if (!entry.env_id.empty()) check_env_id(entry.env_id);
  if (entry.steps.size() > kMaxWalSteps) refuse("too many steps");
  for (const WalStep& step : entry.steps) {
    if (step.kind != WalStep::Kind::RemoveStaging) {
      check_env_id(step.id);
    } else if (step.id != entry.op_id) {
      refuse("a step removes the staging directory of another operation");
    }
  }
}

std::string make_wal_text(const WalEntry& entry) {
  check_wal_entry(entry);
  OrderedJson json;
  json["op_id"] = entry.op_id;
  json["kind"] = std::ranges::find(kKinds, entry.kind, &KindName::kind)->name;
  json["env_id"] = entry.env_id;
  json["timestamp"] = entry.timestamp;
  OrderedJson steps = OrderedJson::array();
  for (const WalStep& step : entry.steps) {
    OrderedJson object;
    object[std::ranges::find(kSteps, step.kind, &StepName::kind)->name] = step.id;
    steps.push_back(std::move(object));
  }
  json["rollback_steps"] = std::move(steps);
  return make_record_text(json);
}

WalEntry parse_wal_text(std::string_view text, const std::string& op_id) {
  const std::string what = "intent log entry " + op_id;
  const Json json = parse_record_text(text, what);
  try {
    WalEntry entry = from_json(json);
    if (entry.op_id != op_id) refuse("it belongs to operation " + entry.op_id);
    return entry;
  } catch (const Error& error) {
    throw CorruptError(what, "a valid entry", error.message());
  }
}

bool any_logged_step(const StoreLayout& layout, const std::function<bool(const WalStep&)>& is_meant) {
  const UniqueFd wal = layout.open_dir("store/wal");
  for (const DirectoryEntry& entry : list_directory(wal)) {
    try {
      const std::optional<std::string> text = try_read_file_at(wal, entry.name, kMaxWalEntryBytes);
      if (!text) continue;
      const WalEntry operation = parse_wal_text(*text, entry.name.substr(0, entry.name.find('.')));
      if (std::ranges::any_of(operation.steps, is_meant)) return true;
    } catch (const Error&) {
      // No entry, or one that is being written.
    }
  }
  return false;
}

FileLock write_wal_entry(FdRef wal, const WalEntry& entry) {
  const std::string text = make_wal_text(entry);
  const std::string temporary = std::string(kTemporaryPrefix) + entry.op_id;
  FileLock lock = create_locked(wal, temporary);
  try {
    write_all(lock.fd(), text);
    sync_file(lock.fd());
    rename_at(wal, temporary, wal, wal_file_name(entry.op_id), Replace::Yes);
  } catch (const Error&) {
    try {
      try_unlink_at(wal, temporary);
    } catch (const Error&) {
      // The first failure is the one to report; recovery deletes the left-over.
    }
    throw;
  }
  sync_directory(wal);
  return lock;
}

}  // namespace karapace::store
