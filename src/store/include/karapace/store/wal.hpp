// SPDX-License-Identifier: Apache-2.0
// Intent log. An operation writes what it is about to do before its first effect; recovery at the next
// writable open undoes what a dead process left. Steps name things by kind and id, never by path.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "karapace/base/file_lock.hpp"
#include "karapace/store/layout.hpp"

namespace karapace::store {

enum class OpKind { Build, Rebuild, Commit, Restore, Destroy, Gc, Rename, Pull, Init };

struct WalStep {
  enum class Kind {
    RemoveStaging,      // store/staging/<op_id>
    RemoveEnvironment,  // env/<id>, only if no record of that id exists (undo of a first build)
    FinishDestroy,      // env/<id> and the record: roll forward
    DropName,           // of the record, if another one has it, too (it changed hands)
    FinishSwitch,       // env/<id>/upper as the plan in staging says, forward or back: see commit.hpp
  };
  Kind kind;
  std::string id;  // env_id, or op_id for RemoveStaging
};

/// Carries out step 4 of commit.hpp for the operation, in the user namespace that owns the files. An empty
/// one means finish_switch_trees.
using SwitchFinisher = std::function<void(const std::string& op_id, bool flat)>;

/// Removes a directory tree that may contain files of subordinate ids: runtime::remove_tree_any_owner. The
/// path is relative to the store root and made of validated ids only: "store/staging/<op_id>" or
/// "env/<env_id>". Missing is fine. An empty one means remove_tree_at.
using TreeRemover = std::function<void(const std::string& relative)>;

/// A running operation. Its entry file is locked as long as this object lives, so that recovery in another
/// process leaves it alone. Destroyed without finish(): the entry stays and the next recovery undoes it (call
/// undo_now() to do it at once).
class Operation {
 public:
  /// Writes the entry durably and creates store/staging/<op_id>. RemoveStaging is always among the steps and
  /// need not be given. `env_id` may be empty. `layout` must outlive the operation.
  [[nodiscard]] static Operation begin(const StoreLayout& layout, OpKind kind, const std::string& env_id,
                                       std::vector<WalStep> steps);
  Operation(Operation&&) noexcept = default;
  Operation& operator=(Operation&&) noexcept = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  ~Operation();

  [[nodiscard]] const std::string& op_id() const noexcept { return op_id_; }
  [[nodiscard]] UniqueFd staging() const;  // store/staging/<op_id>
  /// Path of the staging directory relative to the store root: "store/staging/<op_id>".
  [[nodiscard]] std::string staging_path() const;
  /// Appends a step, durably, before its effect.
  void add_step(WalStep step);
  /// All effects are in place and durable: removes staging and the entry. Staging that cannot be removed now
  /// is left to a later recovery, which then undoes nothing else.
  void finish(const TreeRemover& remove_tree = {});
  /// Takes the steps back now instead of at the next open. What cannot be undone now stays in the log.
  void undo_now(const TreeRemover& remove_tree = {}, const SwitchFinisher& finisher = {});

 private:
  Operation(const StoreLayout& layout, std::string op_id, FileLock lock);
  const StoreLayout* layout_;
  std::string op_id_;
  FileLock lock_;
};

struct RecoveryReport {
  std::vector<std::string> undone;       // op ids
  std::vector<std::string> set_aside;    // corrupt entries moved to store/wal/corrupt/
  std::vector<std::string> still_alive;  // locked by a running process
  std::vector<std::string> obstacles;    // why steps of dead processes could not be undone or finished now
};
/// Idempotent; cheap when the log is empty (one directory read).
RecoveryReport recover(const StoreLayout& layout, const TreeRemover& remover = {},
                       const SwitchFinisher& finisher = {});

}  // namespace karapace::store
