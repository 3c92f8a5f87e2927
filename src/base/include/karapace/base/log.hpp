// SPDX-License-Identifier: Apache-2.0
// Lines on stderr for whoever debugs. Libraries log at Debug and Trace only; who handles an error logs it.
#pragma once

#include <fmt/format.h>

#include <string_view>
#include <utility>

namespace karapace::log {

enum class Level { Trace, Debug, Info, Warn, Error };

void set_level(Level level) noexcept;
[[nodiscard]] bool enabled(Level level) noexcept;
/// One line "karapace: warn: text", in one write(2).
void write(Level level, std::string_view text);

template <typename... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::Debug)) write(Level::Debug, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::Warn)) write(Level::Warn, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace karapace::log
