// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "karapace/base/cancel.hpp"
#include "karapace/base/progress.hpp"
#include "worker/work_tree.hpp"

namespace karapace::worker {

struct UnpackOptions {
  Owners owners = Owners::Flat;
  std::string expected_sha256;  // of the archive file; empty: not checked
};

/// Unpacks a tar archive (plain, gz, xz, zstd, bzip2) into the empty directory `target`. The archive is
/// hostile: every path is resolved beneath `target` without following a link, and what cannot be kept is
/// refused with its path (InvalidInput). Devices right below dev/ are left out, because every environment
/// gets its own.
void unpack_archive(FdRef archive, FdRef target, const UnpackOptions& options, ProgressSink& progress,
                    const CancelToken& cancel);

}  // namespace karapace::worker
