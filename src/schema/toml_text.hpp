// SPDX-License-Identifier: Apache-2.0
// TOML text to a plain tree, so that the TOML library is seen by one file only and no input can hurt it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace karapace {

/// 1-based; the column counts code points, as the TOML library does. 0 means that there is none.
struct TextPosition {
  std::uint32_t line = 0;
  std::uint32_t column = 0;
};

enum class TomlKind { String, Integer, Boolean, Array, Table, Other };

/// One value. Children of a table carry their key.
struct TomlNode {
  TomlKind kind = TomlKind::Table;
  TextPosition position;
  std::string key;
  TextPosition key_position;
  std::string text;  // of a string; for Other what it is ("a date")
  std::int64_t integer = 0;
  bool boolean = false;
  std::vector<TomlNode> children;

  [[nodiscard]] const TomlNode* find(std::string_view name) const noexcept;
};

/// "a string", "an array", ...
[[nodiscard]] std::string describe(const TomlNode& node);

/// The text being parsed and the name that messages use for it. All is only borrowed.
struct TomlSource {
  std::string_view text;
  std::string_view file;
  std::span<const std::string_view> known_paths = {};  // dotted, to suggest where a misplaced key belongs
};

/// Where that is in `text`, in bytes.
[[nodiscard]] std::size_t offset_of(std::string_view text, TextPosition position);

/// Throws ManifestError. `key` is a dotted path; it and `message` may contain anything.
[[noreturn]] void fail_at(const TomlSource& source, TextPosition position, std::string_view key,
                          std::string_view message, std::string fix = {});

/// No manifest or lock needs more than four levels.
inline constexpr std::size_t kMaxTomlNesting = 16;

/// Refuses too much text, NUL bytes, invalid UTF-8 and deep nesting, then parses. Throws ManifestError.
[[nodiscard]] TomlNode parse_toml(const TomlSource& source, std::size_t max_bytes);

/// Reads the plain subset of TOML that serialize_lock writes, in a third of the time. Nodes have no
/// positions. Returns nothing for any other text, valid or not: parse_toml then decides.
[[nodiscard]] std::optional<TomlNode> try_parse_plain_toml(std::string_view text);

}  // namespace karapace
