// SPDX-License-Identifier: Apache-2.0
// Standard output: results only, in one piece.
#pragma once

#include <exception>
#include <string_view>

#include "karapace/base/json.hpp"

namespace karapace::cli {

/// Whoever read our output went away. Not a failure: the program ends with status 0 and says nothing.
class OutputClosed : public std::exception {};

/// Throws OutputClosed, or SystemError (a full disk behind a redirection).
void write_stdout(std::string_view text);
/// One document with a newline at its end.
void print_json(const OrderedJson& document);

}  // namespace karapace::cli
