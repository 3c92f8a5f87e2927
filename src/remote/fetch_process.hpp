// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "fetch_protocol.hpp"
#include "karapace/base/cancel.hpp"
#include "karapace/base/progress.hpp"
#include "karapace/base/unique_fd.hpp"

namespace karapace::remote {

struct FetchOutcome {
  protocol::Result result;
  std::vector<std::string> verified;  // sha256 of files that are complete in `downloads`
};

/// For karapace-fetch: what host tools get, and where the machine's own certificate authorities are.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> fetch_environment();

/// Runs karapace-fetch to its end. Failures of downloads are in the result. Throws Cancelled after it has
/// ended, ProcessError if it ended without a result.
[[nodiscard]] FetchOutcome run_fetch_program(const std::string& program, const protocol::Request& request,
                                             FdRef downloads, FdRef packages, ProgressSink& progress,
                                             CancelToken& cancel);

}  // namespace karapace::remote
