// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <string>
#include <string_view>

namespace karapace {

/// A path below some directory: not empty, not absolute, no "." or ".." or empty component, no NUL,
/// at most kMaxLength bytes and kMaxDepth components. Checked once, when parsed; bytes are bytes.
class RelPath {
 public:
  static constexpr std::size_t kMaxLength = 4095;
  static constexpr std::size_t kMaxDepth = 512;

  /// Throws InvalidInput that quotes the path.
  [[nodiscard]] static RelPath parse(std::string_view text);

  [[nodiscard]] const std::string& str() const noexcept { return text_; }
  [[nodiscard]] const char* c_str() const noexcept { return text_.c_str(); }
  [[nodiscard]] RelPath operator/(std::string_view component) const;
  /// The last component.
  [[nodiscard]] std::string_view name() const noexcept;
  /// Everything before the last component; empty for a single component.
  [[nodiscard]] std::string_view parent() const noexcept;

  auto operator<=>(const RelPath&) const = default;

 private:
  explicit RelPath(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

/// True if `name` can be one path component: not empty, not "." or "..", no '/' and no NUL, at most 255
/// bytes.
[[nodiscard]] bool is_path_component(std::string_view name) noexcept;

}  // namespace karapace
