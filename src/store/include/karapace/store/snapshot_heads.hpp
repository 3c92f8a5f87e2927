// SPDX-License-Identifier: Apache-2.0
// A snapshot's line is written before the record of an environment names it as its head. So a list that does
// not have the head lost its end, or is lost: a line cut off by damage looks like one that was never
// finished.
#pragma once

#include <map>
#include <string>

#include "karapace/store/metadata.hpp"
#include "karapace/store/snapshot_log.hpp"

namespace karapace::store {

/// Which environments are on a snapshot that is not in their list. Records first, then lists.
class SnapshotHeads {
 public:
  void expect(const EnvRecord& record);
  void found(const std::string& env_id, const SnapshotList& list);
  /// Its list is told as damaged already.
  void unreadable(const std::string& env_id) { heads_.erase(env_id); }
  /// env id -> the snapshot it is on.
  [[nodiscard]] const std::map<std::string, std::string>& missing() const noexcept { return heads_; }
  /// For people, without the environment.
  [[nodiscard]] static std::string reason(const std::string& head);

 private:
  std::map<std::string, std::string> heads_;
};

}  // namespace karapace::store
