// SPDX-License-Identifier: Apache-2.0
// A real file system on a small disk of its own, whose power can be cut.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "karapace/base/subprocess.hpp"

namespace karapace::lab {

/// What has not been written when the power goes.
enum class Unwritten {
  Everything,  // since the file system last wrote its log: what nobody synced
  Bytes,       // its log is complete, the bytes of files are not (not of btrfs, which has no such log)
};

/// Seen from the lab.
class Disk {
 public:
  /// Of the keeper that started this process.
  Disk(std::string type, std::string directory);

  [[nodiscard]] const std::string& type() const { return type_; }
  [[nodiscard]] const std::string& directory() const { return directory_; }
  /// From now on nothing reaches the disk.
  void power_off(Unwritten unwritten);
  /// Nobody uses it any more: it is mounted again, as the file system recovers it.
  void power_on();

 private:
  void tell(char order);

  std::string type_;
  std::string directory_;
  UniqueFd keeper_;
};

/// As root: makes a disk with "ext4", "xfs" or "btrfs" for the user `owner`, mounts it where only its own
/// processes see it, runs this program with `words` and "--disk-at DIRECTORY" on it, and does what that one's
/// Disk asks for. Returns its status. Nothing is left of the disk then.
int keep_disk(const std::string& type, uid_t owner, gid_t group, std::vector<std::string> words);

}  // namespace karapace::lab
