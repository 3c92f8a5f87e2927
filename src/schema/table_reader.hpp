// SPDX-License-Identifier: Apache-2.0
// Strict access to one TOML table: every key is known, every value has its type, or the error says where.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "karapace/base/error.hpp"
#include "toml_text.hpp"

namespace karapace {

inline constexpr std::uint64_t kMaxTomlInteger =
    (std::uint64_t{1} << 53U) - 1;  // what RFC 8785 carries exactly

using KeyList = std::vector<std::string_view>;

/// A value with its dotted path, for messages.
struct TomlValue {
  const TomlNode& node;
  std::string path;
};

class TableReader {
 public:
  /// `path` is empty for the whole file. Throws ManifestError if `node` is no table or has a key outside
  /// `keys`; an empty list allows any key.
  TableReader(const TomlSource& source, const TomlNode& node, std::string path, const KeyList& keys,
              std::string what = {});

  [[nodiscard]] const TomlNode* find(std::string_view key) const noexcept { return node_.find(key); }
  [[nodiscard]] const TomlNode& require(std::string_view key) const;
  [[nodiscard]] std::string path_of(std::string_view key) const;

  [[nodiscard]] std::string required_string(std::string_view key) const;
  [[nodiscard]] std::string optional_string(std::string_view key, std::string_view fallback = {}) const;
  [[nodiscard]] bool required_bool(std::string_view key) const;
  [[nodiscard]] bool optional_bool(std::string_view key, bool fallback) const;
  /// 0 to kMaxTomlInteger.
  [[nodiscard]] std::uint64_t required_unsigned(std::string_view key) const;
  [[nodiscard]] std::optional<std::uint64_t> optional_unsigned(std::string_view key) const;

  [[nodiscard]] std::string as_string(const TomlNode& node, const std::string& path) const;
  /// The items of an array of strings; nothing if the key is absent.
  [[nodiscard]] std::vector<TomlValue> string_items(std::string_view key) const;
  /// The tables of an array of tables; nothing if the key is absent.
  [[nodiscard]] std::vector<TomlValue> table_items(std::string_view key) const;

  [[noreturn]] void fail(const TomlNode& node, std::string_view path, std::string message,
                         std::string fix = {}) const {
    fail_at(source_, node.position, path, std::move(message), std::move(fix));
  }

  /// Runs `body` and gives an Error that leaves it the position of `node`.
  template <typename Body>
  auto checked(const TomlNode& node, std::string_view path, Body&& body) const {
    try {
      return body();
    } catch (const Error& error) {
      fail(node, path, error.message(), error.fix());
    }
  }

  [[nodiscard]] const TomlSource& source() const noexcept { return source_; }

 private:
  [[noreturn]] void fail_unknown(const TomlNode& child, const KeyList& keys) const;
  [[noreturn]] void fail_type(const TomlNode& node, std::string_view path, std::string_view expected) const;
  [[nodiscard]] std::uint64_t as_unsigned(const TomlNode& node, const std::string& path) const;
  [[nodiscard]] std::vector<TomlValue> items(std::string_view key, TomlKind kind,
                                             std::string_view expected) const;

  const TomlSource& source_;
  const TomlNode& node_;
  std::string path_;
  std::string what_;  // how messages name the table: "[system]"
};

}  // namespace karapace
