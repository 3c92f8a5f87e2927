// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include "karapace/base/cancel.hpp"
#include "karapace/base/progress.hpp"
#include "worker/work_tree.hpp"

namespace karapace::worker {

struct CopyOptions {
  Owners owners = Owners::Flat;
  uid_t callers_uid = 0;  // as seen inside: becomes root, and so does every id that is not mapped
  gid_t callers_gid = 0;
};

/// Copies what is below `source` into the empty directory `target`: files, directories, links, fifos with
/// mode, time and attributes. Devices right below dev/ are left out; sockets and other devices are refused
/// with their path.
void copy_tree(FdRef source, FdRef target, const CopyOptions& options, ProgressSink& progress,
               const CancelToken& cancel);

}  // namespace karapace::worker
