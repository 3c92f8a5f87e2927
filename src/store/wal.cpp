// SPDX-License-Identifier: Apache-2.0
#include "karapace/store/wal.hpp"

#include <algorithm>

#include "karapace/base/clock.hpp"
#include "karapace/base/durable.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/log.hpp"
#include "undo.hpp"
#include "wal_entry.hpp"

namespace karapace::store {
namespace {

WalEntry read_own_entry(FdRef wal, const std::string& op_id) {
  return parse_wal_text(read_file_at(wal, wal_file_name(op_id), kMaxWalEntryBytes), op_id);
}

}  // namespace

Operation::Operation(const StoreLayout& layout, std::string op_id, FileLock lock)
    : layout_(&layout), op_id_(std::move(op_id)), lock_(std::move(lock)) {}

Operation::~Operation() = default;

Operation Operation::begin(const StoreLayout& layout, OpKind kind, const std::string& env_id,
                           std::vector<WalStep> steps) {
  WalEntry entry{random_hex(16), kind, env_id, format_rfc3339(now()), {}};
  // First, so that it is undone last: other steps may need what is staged.
  entry.steps.push_back({WalStep::Kind::RemoveStaging, entry.op_id});
  for (WalStep& step : steps) {
    if (step.kind != WalStep::Kind::RemoveStaging) entry.steps.push_back(std::move(step));
  }
  const UniqueFd wal = layout.open_dir("store/wal");
  Operation operation(layout, entry.op_id, write_wal_entry(wal, entry));
  make_directory_at(layout.staging(), entry.op_id, 0700);
  return operation;
}

UniqueFd Operation::staging() const { return open_directory(layout_->staging(), op_id_); }

std::string Operation::staging_path() const { return "store/staging/" + op_id_; }

void Operation::add_step(WalStep step) {
  const UniqueFd wal = layout_->open_dir("store/wal");
  WalEntry entry = read_own_entry(wal, op_id_);
  entry.steps.push_back(std::move(step));
  lock_ = write_wal_entry(wal, entry);
}

void Operation::finish(const TreeRemover& remove_tree) {
  const UniqueFd wal = layout_->open_dir("store/wal");
  try {
    undo_remove_staging(*layout_, op_id_, remove_tree);
  } catch (const Error& error) {
    // Everything that was asked for is done and durable; what is left is rubbish. Forget the other steps,
    // which would undo it, and let a later recovery take the rubbish away.
    log::debug("staging of {} stays for recovery: {}", op_id_, error.what());
    WalEntry entry = read_own_entry(wal, op_id_);
    std::erase_if(entry.steps, [](const WalStep& step) { return step.kind != WalStep::Kind::RemoveStaging; });
    lock_ = write_wal_entry(wal, entry);
    return;
  }
  try_unlink_at(wal, wal_file_name(op_id_));
  // Without this the entry could come back after a power cut and undo what was reported as done.
  sync_directory(wal);
}

void Operation::undo_now(const TreeRemover& remove_tree, const SwitchFinisher& finisher) {
  const UniqueFd wal = layout_->open_dir("store/wal");
  std::vector<std::string> obstacles;  // the next open tells them, if they are there still
  undo_entry(*layout_, wal, read_own_entry(wal, op_id_), lock_, remove_tree, finisher, obstacles);
}

}  // namespace karapace::store
