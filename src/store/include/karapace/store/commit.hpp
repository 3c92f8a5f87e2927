// SPDX-License-Identifier: Apache-2.0
// What is written in an environment becomes a layer, or is put aside, without copying it.
//
// An environment's upper directory changes hands in four steps, and the third decides:
//   1. prepare_commit reads it and stages everything that needs space; it is not changed.
//   2. The plan is written beside that, and all is made durable.
//   3. The environment's record is replaced. Before that recovery forgets the operation, after it recovery
//   ends it.
//   4. The upper directory and a fresh one exchange their names; what was the upper is sealed and becomes
//      trees/<layer>. Only names and attributes change.
// So no file is ever an object and in an upper directory at the same time, and nobody can write to an object.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "karapace/base/cancel.hpp"
#include "karapace/base/digest.hpp"
#include "karapace/base/progress.hpp"
#include "karapace/store/layer.hpp"
#include "karapace/store/layout.hpp"
#include "karapace/store/metadata.hpp"
#include "karapace/store/snapshot_log.hpp"
#include "karapace/store/wal.hpp"

namespace karapace::store {

/// What an operation is about to do with an upper directory: staging/<op_id>/plan.
struct SwitchPlan {
  std::string env_id;
  std::string updated_at;               // of the record that decides
  std::optional<std::string> snapshot;  // id of the snapshot that was added for it
  std::optional<Digest> layer;          // what the upper becomes; nothing: it is put aside
  Digest mtimes;                        // of the layer
  std::uint64_t upper_inode = 0;        // of the directory that is upper before
  bool flat = true;
};
/// Not durable: the caller syncs the file system before it replaces the record.
void write_switch_plan(FdRef staging, const SwitchPlan& plan);
/// Nothing if the operation did not come so far. CorruptError.
[[nodiscard]] std::optional<SwitchPlan> read_switch_plan(FdRef staging);
/// True if the log has an operation that switches the files of this environment. Seen by whoever has the
/// environment's lock, its owner has died; and only recovery may change the environment's record, because it
/// is by the record that it tells whether the switch was decided.
[[nodiscard]] bool has_unfinished_switch(const StoreLayout& layout, const std::string& env_id);

struct CommitPreparation {
  bool changed = false;  // false: the upper directory says nothing that is not below it
  Digest hash;
  Digest mtimes;
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
  std::uint64_t upper_inode = 0;
};
struct CommitOptions {
  bool flat = true;
  unsigned threads = 2;
  std::uint32_t build_uid =
      0;  // mapped: who made the upper's root directory, as seen inside; it counts as root's
};
/// Step 1, inside the user namespace, or in a flat store with the caller's own rights (EACCES or EPERM if
/// they do not suffice): reads `upper`, which lies on the tree `below`, and stages "index", "mtimes", "fresh"
/// (an empty upper directory with the same attributes) and "copies" (objects for files that cannot be objects
/// themselves). `root` is the store's. Changes nothing else and can be cancelled.
[[nodiscard]] CommitPreparation prepare_commit(FdRef upper, FdRef below, FdRef staging, FdRef root,
                                               const CommitOptions& options, ProgressSink& progress,
                                               const CancelToken& cancel);
/// Gives entries a name of their own where the store has a layer with the same files and other times: a tree
/// has one set of times. Without `mtimes` the mark is taken away.
void mark_times(IndexEntry& root, const std::optional<Digest>& mtimes);
/// Takes back what step 1 staged, for another try with other rights.
void discard_preparation(FdRef staging);
/// Stages "fresh" alone, with the attributes of the tree `below`, for an upper directory that is put aside.
void stage_fresh_upper(FdRef staging, FdRef below, bool flat);
/// True if `upper` holds nothing and its own attributes are those of `below`: then there is nothing to
/// commit. `build_uid` as in CommitOptions.
[[nodiscard]] bool is_upper_clean(FdRef upper, FdRef below, bool flat, std::uint32_t build_uid);

/// Step 4, inside the user namespace; may be repeated. `root` is the store's, `op_id` the operation whose
/// staging directory has the plan.
void finish_switch_trees(FdRef root, const std::string& op_id, ProgressSink& progress,
                         const CancelToken& cancel);
/// Then the layer's index, times and record get their names. Not durable: the caller syncs the file system.
void publish_staged_layer(const StoreLayout& layout, FdRef staging, const SwitchPlan& plan);
/// For publish_staged_layer: stages the record.
void stage_layer_record(FdRef staging, const LayerRecord& record);

/// Steps 2 to 4 for an operation that has a FinishSwitch step and everything of step 1 in its staging
/// directory: the snapshot is added, `record` replaces the environment's, and the upper directory changes
/// hands. Durable on return.
void carry_out_switch(const StoreLayout& layout, const Operation& operation, const SwitchPlan& plan,
                      const std::optional<SnapshotRecord>& snapshot, const EnvRecord& record,
                      const SwitchFinisher& finisher = {});

}  // namespace karapace::store
