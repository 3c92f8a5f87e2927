// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "karapace/runtime/backend.hpp"

namespace karapace::runtime {

/// Namespaces and overlayfs of the kernel, without help from a daemon.
[[nodiscard]] std::unique_ptr<Backend> make_namespace_backend();
/// Deterministic, without network and without distributions: for tests of everything above.
[[nodiscard]] std::unique_ptr<Backend> make_mock_backend();

}  // namespace karapace::runtime
