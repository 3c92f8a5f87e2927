// SPDX-License-Identifier: Apache-2.0
// What a store means, without what differs between two runs of the same thing: ids that hang on the time, the
// time itself, the log, temporaries. Two stores are in the same state if their models have the same text.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "image.hpp"
#include "karapace/store/layout.hpp"

namespace karapace::lab {

struct SnapshotModel {
  std::string kind;
  std::string message;
  int parent = -1;  // which of the environment's snapshots, or -1
  std::vector<std::string> layers;
  std::string view;
};

struct EnvModel {
  std::string state;
  std::string name;
  std::vector<std::string> layers;
  std::string view;  // what somebody inside would see: every path with its attributes and its bytes
  std::string home;
  int head = -1;
  std::vector<SnapshotModel> snapshots;
};

struct StoreModel {
  std::map<std::string, EnvModel> environments;
  std::string outside;  // what an export made
  [[nodiscard]] std::string text() const;
};

/// Everything below `root`: root/store and root/out. A store that is not there has no environments.
[[nodiscard]] StoreModel read_model(const std::string& root);
/// The lines that only one of the two texts has.
[[nodiscard]] std::string difference(const std::string& expected, const std::string& found);
/// The text of a directory in an image, for views and for what lies outside.
[[nodiscard]] std::string view_of(const Image& image, const std::vector<Inode>& bottom_first);

/// What must hold in every store that was opened again after a crash, as sentences; empty is good.
[[nodiscard]] std::vector<std::string> find_faults(const std::string& root);
/// The same after gc: nothing is left that nothing needs.
[[nodiscard]] std::vector<std::string> find_orphans(const std::string& root);

}  // namespace karapace::lab
