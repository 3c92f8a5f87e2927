// SPDX-License-Identifier: Apache-2.0
// Many small pieces of work that do not depend on each other.
#pragma once

#include <cstddef>
#include <functional>

namespace karapace::store {

/// For work that takes names away: whoever takes a file's last one waits until its blocks are free, and on a
/// file system that discards them, for the disk. More than there are processors.
constexpr unsigned kWaitingThreads = 8;

/// Calls `work(index, reports)` once for each index below `count`, on up to `threads` threads. The caller is
/// one of them; `reports` is true for its calls alone, and they may advance a progress. What the first call
/// throws ends all threads and is thrown. Fewer threads if the system has no more; one in the crash lab,
/// whose steps are counted.
void for_each_index(std::size_t count, unsigned threads,
                    const std::function<void(std::size_t index, bool reports)>& work);

}  // namespace karapace::store
