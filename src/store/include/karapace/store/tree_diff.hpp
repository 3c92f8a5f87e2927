// SPDX-License-Identifier: Apache-2.0
// What an upper directory changes in the trees below it, and what tells two layers apart.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "karapace/base/cancel.hpp"
#include "karapace/base/unique_fd.hpp"
#include "karapace/store/index_stream.hpp"

namespace karapace::store {

enum class ChangeKind : std::uint8_t { Added, Modified, Removed };

struct TreeChange {
  std::string path;  // bytes, relative; "" is the root directory
  ChangeKind kind = ChangeKind::Added;
  /// Of Modified: some of "type", "content", "target", "mode", "owner", "xattrs", in this order. Of layers
  /// also "links" (a hard link that leads elsewhere, or is a file of its own now) and "opaque".
  std::vector<std::string> what;
  bool operator==(const TreeChange&) const = default;
};

struct DiffOptions {
  bool flat = true;
  std::uint32_t build_uid = 0;  // as in CommitOptions
};
/// Sorted by path. `lowers` top first. Looks at the upper directory and at what lies below it at the same
/// paths, nothing else: of a directory that was removed there is one change, for itself. A file that was
/// written and is what it was is no change; neither are times. The upper directory may be in use. Runs
/// inside the user namespace, or in a flat store with the caller's own rights (EACCES or EPERM if they do not
/// suffice).
[[nodiscard]] std::vector<TreeChange> diff_upper(FdRef upper, const std::vector<UniqueFd>& lowers,
                                                 const DiffOptions& options, const CancelToken& cancel);

enum class ModeView : std::uint8_t {
  Identity,  // as the index has them
  Stripped,  // as on the disk of a flat store: without setuid and setgid
};
/// What the second layer has added, modified or removed. Sorted by path; empty exactly if both are the same
/// layer (or the same on disk). Times do not count. CorruptError.
[[nodiscard]] std::vector<TreeChange> diff_indexes(IndexReader from, IndexReader to,
                                                   ModeView modes = ModeView::Identity);

}  // namespace karapace::store
