// SPDX-License-Identifier: Apache-2.0
// Creates the entries of a tree in the order they come, each beneath one open directory.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "karapace/base/rel_path.hpp"
#include "karapace/base/unique_fd.hpp"
#include "worker/work_tree.hpp"

namespace karapace::worker {

struct Attributes {
  std::uint32_t mode = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  timespec mtime{};
  std::vector<std::pair<std::string, std::string>> xattrs;
};

/// Directories get their attributes in finish(), so that a read-only one can still be filled and times stay.
class TreeWriter {
 public:
  TreeWriter(FdRef root, Owners owners) : root_(root), owners_(owners) {}

  void root_attributes(const Attributes& attributes);
  void directory(const RelPath& path, const Attributes& attributes);
  /// An open, empty file to write to; finish_file() gives it its attributes.
  [[nodiscard]] UniqueFd begin_file(const RelPath& path);
  void finish_file(const RelPath& path, UniqueFd file, const Attributes& attributes);
  void symlink(const RelPath& path, const std::string& target, const Attributes& attributes);
  /// `target` must already be in the tree and be no directory.
  void hard_link(const RelPath& path, const RelPath& target);
  void fifo(const RelPath& path, const Attributes& attributes);
  void finish();

 private:
  void prepare(const RelPath& path);
  void check_owner(const RelPath& path, const Attributes& attributes) const;
  void set_xattrs(const std::string& path, const Attributes& attributes) const;
  FdRef root_;
  Owners owners_;
  std::string last_parent_;  // made already; the kernel still checks every open
  std::vector<std::pair<std::string, Attributes>> directories_;
};

}  // namespace karapace::worker
