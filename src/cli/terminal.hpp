// SPDX-License-Identifier: Apache-2.0
// What the three standard streams are, and talking to the person at them.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace karapace::cli {

enum class Stream { In = 0, Out = 1, Err = 2 };
[[nodiscard]] bool is_terminal(Stream stream) noexcept;
/// A terminal, TERM is not "dumb", and NO_COLOR is not set.
[[nodiscard]] bool wants_colour(Stream stream) noexcept;
/// Columns of the terminal behind standard error; 80 if it does not say.
[[nodiscard]] std::size_t terminal_columns() noexcept;

/// A closed 0, 1 or 2 becomes /dev/null: otherwise the next file that is opened would get that number, and
/// what was meant for the terminal would be written into it.
void ensure_standard_streams();
/// From here on a vanished reader is the error EPIPE instead of a silent death.
void ignore_broken_pipes() noexcept;

/// Writes to standard error; failure has nobody to be told to.
void write_stderr(std::string_view text) noexcept;

/// The SGR code around `text` if `enabled`.
[[nodiscard]] std::string coloured(std::string_view text, std::string_view sgr, bool enabled);
/// Columns that UTF-8 text takes, counting one per code point: right for everything we print.
[[nodiscard]] std::size_t display_width(std::string_view text) noexcept;
/// The longest beginning of at most `columns` columns.
[[nodiscard]] std::string_view clip(std::string_view text, std::size_t columns) noexcept;
/// Padded with spaces on the right, at least to `columns`.
[[nodiscard]] std::string padded(std::string_view text, std::size_t columns);

/// One line from standard input without its newline; nothing at end of file. The question goes to standard
/// error. Throws Cancelled when the process is asked to stop meanwhile, InvalidInput above 4096 bytes.
[[nodiscard]] std::optional<std::string> ask(std::string_view question);
/// True for "y" or "yes". End of file and everything else is no.
[[nodiscard]] bool confirm(std::string_view question);

}  // namespace karapace::cli
