// SPDX-License-Identifier: Apache-2.0
#include "toml_text.hpp"

#define TOML_HEADER_ONLY 1
#define TOML_ENABLE_FORMATTERS 0
#define TOML_EXCEPTIONS 1
#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <limits>

#include "karapace/base/text.hpp"
#include "karapace/schema/manifest.hpp"

namespace karapace {
namespace {

// The TOML library limits nested values but neither dotted keys nor table headers, its table destructor is
// recursive, and every dotted key costs it a search. These bounds hold for any text, and keep memory small.
constexpr std::size_t kMaxDots = 10'000;
constexpr std::size_t kMaxValues = 400'000;

TextPosition position_of_offset(std::string_view text, std::size_t offset) {
  TextPosition position{1, 1};
  for (std::size_t i = 0; i < std::min(offset, text.size()); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == '\n') {
      position = {position.line + 1, 1};
    } else if ((byte & 0xC0U) != 0x80U) {
      ++position.column;
    }
  }
  return position;
}

std::string_view line_of(std::string_view text, std::uint32_t line) {
  for (std::uint32_t i = 1; i < line; ++i) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  return text.substr(0, text.find('\n'));
}

/// Code points to bytes, as editors and compilers count.
std::uint32_t byte_column(std::string_view text, TextPosition position) {
  const std::string_view line = line_of(text, position.line);
  std::uint32_t code_points = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if ((static_cast<unsigned char>(line[i]) & 0xC0U) == 0x80U) continue;
    if (++code_points == position.column) return static_cast<std::uint32_t>(i + 1);
  }
  return static_cast<std::uint32_t>(line.size() + 1);
}

/// Follows strings, comments and brackets closely enough to know how deep the text nests.
class NestingCheck {
 public:
  explicit NestingCheck(const TomlSource& source) : source_(source), text_(source.text) {}

  void run() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (c == '"' || c == '\'') {
        skip_string(c);
      } else {
        count(c);
        ++at_;
      }
    }
  }

 private:
  void count(char c) {
    switch (c) {
      case '[':
      case '{':
        dots_ = 0;
        if (++depth_ > kMaxTomlNesting) fail("nested too deeply");
        count_value();
        break;
      case ']':
      case '}':
        if (depth_ > 0) --depth_;
        break;
      case '.':
        if (++dots_ >= kMaxTomlNesting) fail("a key with too many parts");
        if (++all_dots_ > kMaxDots) fail("too many dotted keys");
        break;
      case ',':
      case '=':
        count_value();
        dots_ = 0;
        break;
      case '\n':
        dots_ = 0;
        break;
      default:
        break;
    }
  }

  void count_value() {
    if (++values_ > kMaxValues) fail("too many values");
  }

  /// An unterminated string ends the walk: the TOML library stops at the same place.
  void skip_string(char quote) {
    const std::string three(3, quote);
    const bool multi_line = text_.substr(at_, 3) == three;
    at_ += multi_line ? 3 : 1;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '\\' && quote == '"') {
        ++at_;
      } else if (!multi_line && c == '\n') {
        at_ = text_.size();
      } else if (!multi_line && c == quote) {
        ++at_;
        return;
      } else if (multi_line && text_.substr(at_, 3) == three) {
        // Up to two more quotes belong to the content.
        at_ += 3;
        for (int extra = 0; extra < 2 && at_ < text_.size() && text_[at_] == quote; ++extra) ++at_;
        return;
      }
    }
  }

  [[noreturn]] void fail(std::string_view what) const {
    fail_at(source_, position_of_offset(text_, at_), {},
            fmt::format("{}; a manifest needs 3 levels, {} are allowed", what, kMaxTomlNesting));
  }

  const TomlSource& source_;
  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t depth_ = 0;
  std::size_t dots_ = 0;
  std::size_t all_dots_ = 0;
  std::size_t values_ = 0;
};

void check_encoding(const TomlSource& source) {
  if (const std::size_t nul = source.text.find('\0'); nul != std::string_view::npos) {
    fail_at(source, position_of_offset(source.text, nul), {},
            "the file contains a NUL byte: is it a text file?");
  }
  if (is_utf8(source.text)) return;
  // A line feed is never part of a longer sequence, so the first bad line can be found on its own.
  std::size_t start = 0;
  while (start < source.text.size()) {
    const std::size_t end = std::min(source.text.find('\n', start), source.text.size());
    const std::string_view line = source.text.substr(start, end - start);
    if (!is_utf8(line)) {
      std::size_t good = 0;
      for (std::size_t length = 1; length <= line.size(); ++length) {
        if (length - good > 4) break;
        if (is_utf8(line.substr(good, length - good))) good = length;
      }
      const auto byte = static_cast<unsigned char>(line[good]);
      fail_at(source, position_of_offset(source.text, start + good), {},
              fmt::format("the file is not valid UTF-8: byte 0x{:02x}", byte), "Save the file as UTF-8.");
    }
    start = end + 1;
  }
}

TextPosition to_position(const toml::source_position& position) {
  return {static_cast<std::uint32_t>(position.line), static_cast<std::uint32_t>(position.column)};
}

TomlNode convert(const toml::node& node) {
  TomlNode result;
  result.position = to_position(node.source().begin);
  if (const auto* text = node.as_string()) {
    result.kind = TomlKind::String;
    result.text = text->get();
  } else if (const auto* integer = node.as_integer()) {
    result.kind = TomlKind::Integer;
    result.integer = integer->get();
  } else if (const auto* boolean = node.as_boolean()) {
    result.kind = TomlKind::Boolean;
    result.boolean = boolean->get();
  } else if (const auto* array = node.as_array()) {
    result.kind = TomlKind::Array;
    result.children.reserve(array->size());
    for (const toml::node& item : *array) result.children.push_back(convert(item));
  } else if (const auto* table = node.as_table()) {
    result.kind = TomlKind::Table;
    result.children.reserve(table->size());
    for (const auto& [key, value] : *table) {
      TomlNode child = convert(value);
      child.key = std::string(key.str());
      child.key_position = to_position(key.source().begin);
      result.children.push_back(std::move(child));
    }
  } else {
    result.kind = TomlKind::Other;
    result.text = node.is_floating_point() ? "a floating point number" : "a date or time";
  }
  return result;
}

bool is_bare_key_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

/// The library reports a duplicate where its value ends; people look for the key.
TextPosition position_of_key(const TomlSource& source, TextPosition reported, std::string_view key) {
  const std::string_view line = line_of(source.text, reported.line);
  for (std::size_t at = line.find(key); !key.empty() && at != std::string_view::npos;
       at = line.find(key, at + 1)) {
    const bool starts = at == 0 || !is_bare_key_character(line[at - 1]);
    const bool ends = at + key.size() == line.size() || !is_bare_key_character(line[at + key.size()]);
    if (starts && ends) return {reported.line, position_of_offset(line, at).column};
  }
  return reported;
}

[[noreturn]] void fail_with(const TomlSource& source, const toml::parse_error& error) {
  const std::string_view description = error.description();
  const TextPosition position = to_position(error.source().begin);
  constexpr std::string_view kRedefined = "cannot redefine existing ";
  const std::size_t redefined = description.find(kRedefined);
  if (redefined == std::string_view::npos) {
    fail_at(source, position, {}, fmt::format("not valid TOML: {}", description));
  }
  const std::size_t open = description.find('\'', redefined);
  const std::size_t close = description.rfind('\'');
  if (open == std::string_view::npos || close <= open) {
    fail_at(source, position, {}, fmt::format("duplicate key: {}", description.substr(redefined)));
  }
  const std::string_view key = description.substr(open + 1, close - open - 1);
  fail_at(source, position_of_key(source, position, key), key,
          fmt::format("duplicate key '{}': it was given before", key));
}

}  // namespace

const TomlNode* TomlNode::find(std::string_view name) const noexcept {
  const auto found =
      std::find_if(children.begin(), children.end(), [&](const TomlNode& n) { return n.key == name; });
  return found == children.end() ? nullptr : &*found;
}

std::string describe(const TomlNode& node) {
  switch (node.kind) {
    case TomlKind::String:
      return "a string";
    case TomlKind::Integer:
      return "an integer";
    case TomlKind::Boolean:
      return "a boolean";
    case TomlKind::Array:
      return "an array";
    case TomlKind::Table:
      return "a table";
    case TomlKind::Other:
      break;
  }
  return node.text;
}

void fail_at(const TomlSource& source, TextPosition position, std::string_view key, std::string message,
             std::string fix) {
  const std::uint32_t column = position.line == 0 ? 0 : byte_column(source.text, position);
  throw ManifestError(std::string(source.file), position.line, column, std::string(key), std::move(message),
                      std::move(fix));
}

TomlNode parse_toml(const TomlSource& source, std::size_t max_bytes) {
  if (source.text.size() > max_bytes) {
    fail_at(source, {}, {},
            fmt::format("the file is too large: {} bytes, at most {} are allowed", source.text.size(),
                        max_bytes));
  }
  check_encoding(source);
  NestingCheck(source).run();
  try {
    return convert(toml::parse(source.text, std::string_view(source.file)));
  } catch (const toml::parse_error& error) {
    fail_with(source, error);
  }
}

}  // namespace karapace
