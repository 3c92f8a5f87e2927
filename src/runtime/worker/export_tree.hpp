// SPDX-License-Identifier: Apache-2.0
// A tree leaves the store: as a directory, or as a tar archive that other tools read.
#pragma once

#include <string>
#include <unordered_set>
#include <vector>

#include "karapace/base/cancel.hpp"
#include "karapace/base/progress.hpp"
#include "karapace/base/unique_fd.hpp"
#include "karapace/store/layer.hpp"
#include "worker/work_tree.hpp"

namespace karapace::worker {

/// What is to be written: sorted entries, and where the contents are.
struct ExportSource {
  std::vector<store::IndexEntry> entries;
  std::unordered_set<std::string> in_upper;  // paths whose contents are in `upper`; all others are objects
  const UniqueFd* upper = nullptr;           // may be null
  FdRef objects;
};

/// Into the empty directory `target`.
void export_to_directory(const ExportSource& source, FdRef target, Owners owners, ProgressSink& progress,
                         const CancelToken& cancel);
/// PAX; whiteouts and opaque directories as ".wh." files of OCI layers.
void export_to_tar(const ExportSource& source, FdRef file, ProgressSink& progress, const CancelToken& cancel);

}  // namespace karapace::worker
