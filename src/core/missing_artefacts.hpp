// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "karapace/core/engine.hpp"
#include "karapace/runtime/backend.hpp"
#include "karapace/schema/lock_file.hpp"
#include "karapace/store/layout.hpp"

namespace karapace::core {

/// Every file that the lock names with its URL.
[[nodiscard]] std::vector<runtime::Artefact> all_artefacts(runtime::Backend& backend, const LockFile& lock);
/// Those that a build would need now: not those of layers that are there. `layout` may be null (no store).
[[nodiscard]] std::vector<runtime::Artefact> needed_artefacts(runtime::Backend& backend, const LockFile& lock,
                                                              const store::StoreLayout* layout);
/// Each content once.
[[nodiscard]] std::vector<runtime::Artefact> not_in_store(std::vector<runtime::Artefact> artefacts,
                                                          const store::StoreLayout* layout);

/// Throws InvalidInput if the store has one of them with another size: its hash is right, so a lock that
/// names it is not what was written. `layout` may be null.
void check_sizes(const std::vector<runtime::Artefact>& artefacts, const store::StoreLayout* layout);

}  // namespace karapace::core
