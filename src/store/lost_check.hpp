// SPDX-License-Identifier: Apache-2.0
// Environments that lost their record or their upper directory: what is missing has no place where a look at
// what is there would find it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "karapace/store/layout.hpp"
#include "karapace/store/metadata.hpp"
#include "stray_check.hpp"

namespace karapace::store {

/// "upper", "home", "a snapshot": what there is in the environment that its user wrote.
[[nodiscard]] std::vector<std::string> find_user_files(const StoreLayout& layout, const std::string& env_id);

/// Environments that have a directory, snapshots or a name, but no record, and no operation that is about to
/// bring or remove it. `owners` has the env ids of the names that are in records.
void check_lost_records(const StoreLayout& layout, const std::map<std::string, std::string>& owners,
                        const AddFault& add);
/// What was written in a built or frozen environment and not committed.
void check_upper(const StoreLayout& layout, const EnvRecord& record, const AddFault& add);

}  // namespace karapace::store
