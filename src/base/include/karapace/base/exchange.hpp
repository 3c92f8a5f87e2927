// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "karapace/base/unique_fd.hpp"

namespace karapace {

/// Each of the two takes the other's name in one step (RENAME_EXCHANGE). Needs no space on the disk. Durable
/// after the next sync of the file system.
void exchange_at(FdRef a_dir, const std::string& a, FdRef b_dir, const std::string& b);

}  // namespace karapace
