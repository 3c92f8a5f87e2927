// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "karapace/base/cancel.hpp"
#include "karapace/base/json.hpp"
#include "karapace/base/progress.hpp"

namespace karapace::worker {

/// Carries out one request: {"verb": ..., "store_fd": n, "flat": bool, ...}. Paths in it are relative to the
/// store root and are opened beneath it.
[[nodiscard]] Json carry_out(const Json& request, ProgressSink& progress, const CancelToken& cancel);

}  // namespace karapace::worker
