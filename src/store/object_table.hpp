// SPDX-License-Identifier: Apache-2.0
// What one look at every object has seen: bytes, and the inode with its attributes. A file of a tree that is
// the same inode needs no look of its own.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "karapace/base/cancel.hpp"
#include "karapace/base/digest.hpp"
#include "karapace/base/progress.hpp"
#include "karapace/base/unique_fd.hpp"

namespace karapace::store {

struct SeenObject {
  Digest digest;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  std::uint32_t mode = 0;  // permission bits
  bool is_plain = false;   // mode and size are known, and it has no attribute that a tree records
};

class ObjectTable {
 public:
  /// What is in `objects`; names that are no digest go to `strange_names`. Nothing but the names is read.
  ObjectTable(FdRef objects, std::vector<std::string>& strange_names);

  /// Null: there was none of that name.
  [[nodiscard]] const SeenObject* find(const Digest& digest) const noexcept;
  /// Of the file system that holds them.
  [[nodiscard]] std::uint64_t device() const noexcept { return device_; }

 private:
  friend struct ObjectCheck;
  std::vector<SeenObject> objects_;  // sorted by digest
  std::uint64_t device_ = 0;
};

/// Reads every object, by a thread per processor, at most 8.
struct ObjectCheck {
  ObjectCheck(FdRef objects, ProgressSink& progress, const CancelToken& cancel);

  std::vector<std::string> strange_names;
  ObjectTable table;
  std::map<Digest, std::string> bad;  // with the reason
  std::vector<Digest> denied;         // only the user namespace that owns them can read them
  std::uint64_t gone = 0;             // collected since they were listed
  std::uint64_t checked = 0;          // the rest
};

}  // namespace karapace::store
