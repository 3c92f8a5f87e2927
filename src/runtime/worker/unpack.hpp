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
  bool image_layer = false;     // `target` has the layers below it; see layer_rules.hpp
};

/// Unpacks a tar archive (plain, gz, xz, zstd, bzip2) into the directory `target`, which is empty unless it
/// is a layer's. The archive is hostile: every path is resolved beneath `target` without following a link,
/// and what cannot be kept is refused with its path (InvalidInput). Devices right below dev/ are left out,
/// because every environment gets its own.
void unpack_archive(FdRef archive, FdRef target, const UnpackOptions& options, ProgressSink& progress,
                    const CancelToken& cancel);

}  // namespace karapace::worker
