// SPDX-License-Identifier: Apache-2.0
// A tree that the worker changes, above the trees that lie below it. Every path is relative and followed
// through no symlink, so nothing in an image can lead us out of it.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "karapace/base/unique_fd.hpp"

namespace karapace::worker {

enum class Owners { Kept, Flat };  // Flat: only one id exists, chown is neither possible nor needed

class WorkTree {
 public:
  /// `tree` is borrowed; `lowers` are the trees below it, top first.
  WorkTree(FdRef tree, std::vector<UniqueFd> lowers, Owners owners);

  [[nodiscard]] FdRef fd() const noexcept { return tree_; }
  /// In the tree itself; nothing if a parent is missing or is no directory.
  [[nodiscard]] std::optional<struct stat> find(const std::string& path) const;
  /// What the lower trees show at `path`: the topmost entry, nothing below a whiteout or a file.
  [[nodiscard]] std::optional<struct stat> find_below(const std::string& path) const;

  /// Removes `path` and everything in it from this tree only. False if it was not there.
  bool remove(const std::string& path) const;
  /// Removes all entries of the directory `path`, if it is one; an entry called `keep` stays, emptied.
  void empty_directory(const std::string& path, std::string_view keep = {}) const;
  /// Cuts a regular file to no bytes; owner and mode stay.
  void truncate(const std::string& path) const;
  /// Replaces the content of a regular file; owner and mode stay.
  void rewrite(const std::string& path, std::string_view content) const;
  /// Creates the directories above `path` that are missing, with mode and owner of those below or 0755.
  void ensure_parents(const std::string& path) const;
  /// Replaces whatever is at `path` by a regular file of root's.
  void write(const std::string& path, std::string_view content, mode_t mode) const;
  /// Gives the root directory the mode and owner of the lower trees' root: the merged root shows the upper's.
  void adopt_root_attributes() const;

 private:
  void copy_attributes(FdRef directory, const struct stat& from) const;
  FdRef tree_;
  std::vector<UniqueFd> lowers_;
  Owners owners_;
};

/// lstat of `path` beneath `dir`; nothing if it or a parent is missing, or a parent is no directory.
[[nodiscard]] std::optional<struct stat> find_beneath(FdRef dir, const std::string& path);

}  // namespace karapace::worker
