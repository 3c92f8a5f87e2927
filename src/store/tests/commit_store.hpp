// SPDX-License-Identifier: Apache-2.0
// A commit and a discard without an engine: the same steps, in one process.
#pragma once

#include <string>

#include "karapace/store/commit.hpp"
#include "karapace/store/object_store.hpp"
#include "test_store.hpp"

namespace karapace::store::testing {

/// A built environment on a base layer that has one file.
inline EnvRecord make_environment(const StoreLayout& layout, char digit) {
  EnvRecord record = make_record(digit);
  Operation operation = Operation::begin(layout, OpKind::Build, record.env_id, {});
  {
    const UniqueFd staging = operation.staging();
    make_directory_at(staging, "tree", 0755);
    write_all(open_beneath(staging, "tree/base", O_WRONLY | O_CREAT, 0644), "of the base");
    record.base_layer = publish_layer(layout, staging).hash.hex();
  }
  record.dependency_layers.clear();
  record.manifest_hash = ObjectStore(layout).put("{}").hex();
  ensure_directory_at(layout.environments(), record.env_id);
  const UniqueFd environment = layout.open_dir("env/" + record.env_id);
  ensure_directory_at(environment, "upper", 0755);
  ensure_directory_at(environment, "work", 0700);
  MetadataStore(layout).put(record);
  operation.finish();
  return record;
}

inline UniqueFd open_upper(const StoreLayout& layout, const EnvRecord& record) {
  return layout.open_dir("env/" + record.env_id + "/upper");
}
inline UniqueFd open_top(const StoreLayout& layout, const EnvRecord& record) {
  return layout.open_dir("trees/" + layer_stack(record).back());
}

/// Returns the record as it is afterwards.
inline EnvRecord commit_environment(const StoreLayout& layout, const std::string& env_id, bool flat = true) {
  const FileLock lock = layout.lock_environment(env_id);
  EnvRecord record = MetadataStore(layout).find(env_id).value();
  record.ownership = flat ? "flat" : "mapped";
  if (is_upper_clean(open_upper(layout, record), open_top(layout, record), flat, 0)) return record;
  Operation operation =
      Operation::begin(layout, OpKind::Commit, env_id, {{WalStep::Kind::FinishSwitch, env_id}});
  const CommitPreparation prepared =
      prepare_commit(open_upper(layout, record), open_top(layout, record), operation.staging(), layout.root(),
                     {.flat = flat}, no_progress(), CancelToken::process());
  EXPECT_TRUE(prepared.changed);
  SnapshotRecord snapshot;
  snapshot.parent = record.head;
  snapshot.layer = prepared.hash.hex();
  snapshot.layers = layer_stack(record);
  snapshot.layers.push_back(snapshot.layer);
  snapshot.ownership = record.ownership;
  snapshot.created_at = format_rfc3339(now());
  set_snapshot_id(snapshot);
  record.snapshot_layers.push_back(snapshot.layer);
  record.head = snapshot.id;
  record.updated_at = snapshot.created_at;
  LayerRecord layer;
  layer.hash = layer.index_object = prepared.hash;
  layer.kind = LayerKind::Snapshot;
  layer.mtimes_object = prepared.mtimes;
  layer.ownership = record.ownership;
  layer.entries = prepared.entries;
  layer.bytes = prepared.bytes;
  stage_layer_record(operation.staging(), layer);
  carry_out_switch(layout, operation,
                   {.env_id = env_id,
                    .updated_at = record.updated_at,
                    .snapshot = snapshot.id,
                    .layer = prepared.hash,
                    .mtimes = prepared.mtimes,
                    .upper_inode = prepared.upper_inode,
                    .flat = flat},
                   snapshot, record);
  operation.finish();
  return record;
}

/// What `restore --discard` does to the environment: `layers` above the base, nothing in the upper directory.
inline void discard_to(const StoreLayout& layout, const std::string& env_id,
                       std::vector<std::string> layers) {
  const FileLock lock = layout.lock_environment(env_id);
  EnvRecord record = MetadataStore(layout).find(env_id).value();
  record.snapshot_layers = std::move(layers);
  record.updated_at = format_rfc3339(now());
  Operation operation =
      Operation::begin(layout, OpKind::Restore, env_id, {{WalStep::Kind::FinishSwitch, env_id}});
  stage_fresh_upper(operation.staging(), open_top(layout, record), true);
  carry_out_switch(layout, operation,
                   {.env_id = env_id,
                    .updated_at = record.updated_at,
                    .snapshot = std::nullopt,
                    .layer = std::nullopt,
                    .mtimes = {},
                    .upper_inode = stat_fd(open_upper(layout, record)).st_ino,
                    .flat = true},
                   std::nullopt, record);
  operation.finish();
}

}  // namespace karapace::store::testing
