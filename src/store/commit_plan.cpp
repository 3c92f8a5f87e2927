// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "karapace/base/durable.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/store/commit.hpp"
#include "karapace/store/metadata.hpp"
#include "karapace/store/snapshot_log.hpp"
#include "layer_text.hpp"
#include "record_text.hpp"
#include "undo.hpp"
#include "wal_entry.hpp"

namespace karapace::store {
namespace {

constexpr const char* kPlan = "plan";
constexpr const char* kLayer = "layer";

void stage_text(FdRef staging, const char* name, std::string_view text) {
  UniqueFd file = open_beneath(staging, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  write_all(file, text);
  file.close();
}

SwitchPlan plan_from(const Json& json) {
  SwitchPlan plan;
  plan.env_id = require_hash(json, "env_id");
  plan.updated_at = require_string(json, "updated_at", 64);
  if (std::string id = require_hash_or_empty(json, "snapshot"); !id.empty()) plan.snapshot = std::move(id);
  if (const std::string hash = require_hash_or_empty(json, "layer"); !hash.empty())
    plan.layer = Digest::parse(hash);
  plan.mtimes = Digest::parse(require_hash(json, "mtimes"));
  plan.upper_inode = require_unsigned(json, "upper_inode");
  plan.flat = require_string(json, "ownership", 16) == "flat";
  return plan;
}

/// Nobody may be in the environment while its upper directory changes.
std::optional<FileLock> lock_out_sessions(const StoreLayout& layout, const std::string& env_id) {
  const UniqueFd environment = open_directory(layout.root(), "env/" + env_id);
  ensure_directory_at(environment, "run", 0700);
  return FileLock::try_acquire(open_beneath(environment, "run/sessions", O_RDWR | O_CREAT, 0600),
                               LockMode::Exclusive);
}

void finish(const StoreLayout& layout, const std::string& op_id, bool flat, const SwitchFinisher& finisher) {
  if (finisher) return finisher(op_id, flat);
  // Once it began it ends: nothing here waits or takes long.
  const CancelToken never;
  finish_switch_trees(layout.root(), op_id, no_progress(), never);
}

void give_name(FdRef from, const char* name, FdRef to, const Digest& digest) {
  if (!exists_at(from, name)) return;
  // What is there has the same bytes, or verification finds it and a rebuild heals it.
  if (!rename_at(from, name, to, digest.hex(), Replace::No)) unlink_at(from, name);
}

}  // namespace

void write_switch_plan(FdRef staging, const SwitchPlan& plan) {
  OrderedJson json;
  json["env_id"] = plan.env_id;
  json["updated_at"] = plan.updated_at;
  json["snapshot"] = plan.snapshot.value_or("");
  json["layer"] = plan.layer ? plan.layer->hex() : "";
  json["mtimes"] = plan.mtimes.hex();
  json["upper_inode"] = plan.upper_inode;
  json["ownership"] = plan.flat ? "flat" : "mapped";
  UniqueFd file = open_beneath(staging, kPlan, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);
  write_all(file, make_record_text(json));
  file.close();
}

std::optional<SwitchPlan> read_switch_plan(FdRef staging) {
  const std::optional<std::string> text = try_read_file_at(staging, kPlan, kMaxRecordBytes);
  if (!text) return std::nullopt;
  const Json json = parse_record_text(*text, "the plan of an operation");
  try {
    return plan_from(json);
  } catch (const Error& error) {
    throw CorruptError("the plan of an operation", "a valid plan", error.message());
  }
}

bool has_unfinished_switch(const StoreLayout& layout, const std::string& env_id) {
  return any_logged_step(layout, [&](const WalStep& step) {
    return step.kind == WalStep::Kind::FinishSwitch && step.id == env_id;
  });
}

void stage_layer_record(FdRef staging, const LayerRecord& record) {
  stage_text(staging, kLayer, make_layer_text(record));
}

void publish_staged_layer(const StoreLayout& layout, FdRef staging, const SwitchPlan& plan) {
  if (!plan.layer) return;
  const UniqueFd objects = layout.objects();
  give_name(staging, "index", objects, *plan.layer);
  bool good = false;
  try {
    const std::optional<LayerRecord> before = LayerStore(layout).find(*plan.layer);
    // The tree that is laid out keeps the times of who came first, so their record stays.
    good = before && exists_at(objects, before->mtimes_object.hex());
  } catch (const CorruptError&) {
    // It is about to be replaced by a good one.
  }
  if (good) return;
  give_name(staging, "mtimes", objects, plan.mtimes);
  // Last, because it is what makes the objects reachable.
  if (exists_at(staging, kLayer))
    rename_at(staging, kLayer, layout.layers(), plan.layer->hex(), Replace::Yes);
}

void carry_out_switch(const StoreLayout& layout, const Operation& operation, const SwitchPlan& plan,
                      const std::optional<SnapshotRecord>& snapshot, const EnvRecord& record,
                      const SwitchFinisher& finisher) {
  KARAPACE_ASSERT(plan.updated_at == record.updated_at);
  const UniqueFd staging = operation.staging();
  write_switch_plan(staging, plan);
  // Everything that is staged, and what the user wrote, before the record that makes it the past; and the
  // plan before the line, which without it nobody would take back.
  sync_filesystem(staging);
  if (snapshot) SnapshotLog(layout).append(record.env_id, {*snapshot});
  MetadataStore(layout).put(record);
  finish(layout, operation.op_id(), plan.flat, finisher);
  publish_staged_layer(layout, staging, plan);
  sync_filesystem(staging);
}

/// A record that is the one of the plan says: it happened.
StepResult finish_switch(const StoreLayout& layout, const std::string& op_id, const std::string& env_id,
                         const SwitchFinisher& finisher) {
  const std::optional<UniqueFd> staging = try_open_beneath(layout.staging(), op_id, O_RDONLY | O_DIRECTORY);
  if (!staging) return StepResult::Done;
  std::optional<SwitchPlan> plan;
  try {
    plan = read_switch_plan(*staging);
  } catch (const CorruptError&) {
    // A power cut before it was durable, unless the environment's files are here already.
    if (exists_at(*staging, "fresh") && !list_directory(open_directory(*staging, "fresh")).empty()) throw;
  }
  // Without a plan nothing was touched.
  if (!plan) return StepResult::Done;
  if (plan->env_id != env_id) throw CorruptError("the plan of operation " + op_id, env_id, plan->env_id);
  if (!exists_at(layout.environments(), env_id)) return StepResult::Done;
  const std::optional<FileLock> lock = layout.try_lock_environment(env_id);
  if (!lock) return StepResult::Later;
  const std::optional<EnvRecord> record = MetadataStore(layout).find(env_id);
  if (!record) return StepResult::Done;
  if (record->updated_at != plan->updated_at) {
    if (plan->snapshot) SnapshotLog(layout).drop_last(env_id, *plan->snapshot);
    return StepResult::Done;
  }
  const std::optional<FileLock> sessions = lock_out_sessions(layout, env_id);
  if (!sessions) return StepResult::Later;
  finish(layout, op_id, plan->flat, finisher);
  publish_staged_layer(layout, *staging, *plan);
  sync_filesystem(layout.root());
  return StepResult::Done;
}

}  // namespace karapace::store
