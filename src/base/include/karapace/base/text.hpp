// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace karapace {

/// True if `text` is well-formed UTF-8 (no surrogates, no overlong forms).
[[nodiscard]] bool is_utf8(std::string_view text) noexcept;
/// `text` for a terminal or log: control characters, direction overrides and invalid UTF-8 as \xNN, at most
/// `limit` bytes; "..." at the end tells that something was left out.
[[nodiscard]] std::string printable(std::string_view text, std::size_t limit = 200);
/// "1 file", "3 files": `noun` takes an "s" unless there is one.
[[nodiscard]] std::string counted(std::size_t count, std::string_view noun);

}  // namespace karapace
