// SPDX-License-Identifier: Apache-2.0
// How a failure is told: cause, then fix, for people; one document for programs.
#pragma once

#include <string>

#include "karapace/base/error.hpp"
#include "karapace/base/json.hpp"
#include "karapace/core/engine.hpp"

namespace karapace::cli {

/// {"error": {"code", "message", "fix", ...}} with what the kind of error knows besides: file, line, column
/// and key of a manifest; status and stderr of a program; expected and found of damaged bytes.
[[nodiscard]] OrderedJson error_document(const Error& error);
/// "error: ...", and "  fix: ..." if there is one. Safe for a terminal, bounded.
[[nodiscard]] std::string error_text(const Error& error, bool colour);

/// As in the documents of verify-env and of a build that gave other layers.
[[nodiscard]] OrderedJson comparison_json(const core::LayerComparison& comparison);
/// "content, mode", "missing", "not expected".
[[nodiscard]] std::string what_differs(const store::TreeChange& change);

}  // namespace karapace::cli
