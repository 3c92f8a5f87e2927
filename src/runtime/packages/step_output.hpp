// SPDX-License-Identifier: Apache-2.0
// What package managers print, and what becomes of it when they fail.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "karapace/base/error.hpp"
#include "karapace/base/subprocess.hpp"
#include "karapace/runtime/backend.hpp"

namespace karapace::runtime {

template <typename Visit>
void for_each_line(std::string_view text, Visit visit) {
  while (!text.empty()) {
    const auto end = text.find('\n');
    visit(text.substr(0, end));
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

/// The lines that tell what went wrong: the last ones, without dpkg's status lines, joined by newlines.
[[nodiscard]] std::string last_lines(std::string_view out, std::string_view err, std::size_t count = 15);

/// Throws `code` with the last lines unless the program ended well.
void check_step(const RunResult& result, ErrorCode code, std::string_view what);

/// The archive could not be read: what the manager said, and what to do. A full disk becomes NoSpace.
[[noreturn]] void throw_unreachable(std::string_view what, const RunResult& result);
/// What an installation that failed said last; a full disk is recognised and becomes NoSpace.
[[noreturn]] void throw_install_failed(const BuildContext& context, std::string_view what,
                                       const RunResult& result);

}  // namespace karapace::runtime
