// SPDX-License-Identifier: Apache-2.0
// How a failure is told: cause, then fix, for people; one document for programs.
#pragma once

#include <string>

#include "karapace/base/error.hpp"
#include "karapace/base/json.hpp"

namespace karapace::cli {

/// {"error": {"code", "message", "fix", ...}} with what the kind of error knows besides: file, line, column
/// and key of a manifest; status and stderr of a program; expected and found of damaged bytes.
[[nodiscard]] OrderedJson error_document(const Error& error);
/// "error: ...", and "  fix: ..." if there is one. Safe for a terminal, bounded.
[[nodiscard]] std::string error_text(const Error& error, bool colour);

}  // namespace karapace::cli
