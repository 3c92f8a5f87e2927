// SPDX-License-Identifier: Apache-2.0
// The files of a bundle, one after the other without anything between them. See core/bundle.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "karapace/base/cancel.hpp"
#include "karapace/base/progress.hpp"
#include "karapace/base/unique_fd.hpp"

namespace karapace::worker {

struct BundleFile {
  std::string sha256;
  std::uint64_t size = 0;
  std::string label;  // what errors call it
};

/// Appends files of `packages` (named by their sha256) to `output`. Throws Corrupt if one is not what its
/// name says.
void write_bundle_files(FdRef packages, const std::vector<BundleFile>& files, FdRef output,
                        ProgressSink& progress, const CancelToken& cancel);

/// Writes the files that begin at `offset` of `bundle` to `target`, each under its sha256. Throws
/// InvalidInput naming the first one that is not what it should be.
void read_bundle_files(FdRef bundle, std::uint64_t offset, const std::vector<BundleFile>& files, FdRef target,
                       ProgressSink& progress, const CancelToken& cancel);

}  // namespace karapace::worker
