// SPDX-License-Identifier: Apache-2.0
// Writing files so that they survive a power cut. These two recipes are the only ones.
#pragma once

#include <string>
#include <string_view>

#include <sys/types.h>

#include "karapace/base/unique_fd.hpp"

namespace karapace {

/// Replaces or creates `name` in `dir`: temporary in the same directory, write, mode, fsync, close,
/// rename, fsync of the directory. On return the new content survives a power cut; at any instant
/// before, the old content does. `mode` is exact, the umask does not matter.
void replace_file(FdRef dir, const std::string& name, std::string_view content, mode_t mode = 0600);

enum class Published { New, AlreadyThere };
/// Content-addressed: like replace_file, but an existing file stays and ours is dropped.
Published publish_object(FdRef dir, const std::string& name, std::string_view content, mode_t mode = 0444);

void sync_file(FdRef file);
void sync_directory(FdRef dir);
/// syncfs(2): one barrier for everything written so far on this file system.
void sync_filesystem(FdRef any_file);

/// Names that replace_file and publish_object use for temporaries begin with this; left-overs of a
/// crash may be deleted by whoever holds the directory exclusively.
inline constexpr std::string_view kTemporaryPrefix = ".tmp-";

}  // namespace karapace
