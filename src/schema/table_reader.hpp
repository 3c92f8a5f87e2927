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

/// An item of the array `list`. Paths are made for messages only: a lock has thousands of values.
struct TomlItem {
  const TomlNode& node;
  std::string_view list;
  std::size_t index;
};

class TableReader {
 public:
  /// `path` is empty for the whole file. Throws ManifestError if `node` is no table or has a key outside
  /// `keys`; an empty list allows any key. Everything but `path` is borrowed.
  TableReader(const TomlSource& source, const TomlNode& node, std::string path, const KeyList& keys);
  /// The same for a table in an array of the whole file.
  TableReader(const TomlSource& source, const TomlItem& item, const KeyList& keys);

  [[nodiscard]] const TomlNode* find(std::string_view key) const noexcept { return node_.find(key); }
  [[nodiscard]] const TomlNode& require(std::string_view key) const;
  [[nodiscard]] std::string path_of(std::string_view key) const;
  [[nodiscard]] std::string path_of(const TomlItem& item) const;

  [[nodiscard]] const std::string& required_string(std::string_view key) const;
  [[nodiscard]] std::string optional_string(std::string_view key, std::string_view fallback = {}) const;
  [[nodiscard]] bool required_bool(std::string_view key) const;
  [[nodiscard]] bool optional_bool(std::string_view key, bool fallback) const;
  /// 0 to kMaxTomlInteger.
  [[nodiscard]] std::uint64_t required_unsigned(std::string_view key) const;
  [[nodiscard]] std::optional<std::uint64_t> optional_unsigned(std::string_view key) const;

  /// The items of an array of strings or of tables; nothing if the key is absent.
  [[nodiscard]] std::vector<TomlItem> string_items(std::string_view key) const;
  [[nodiscard]] std::vector<TomlItem> table_items(std::string_view key) const;

  [[noreturn]] void fail(const TomlNode& node, std::string_view path, std::string_view message,
                         std::string fix = {}) const {
    fail_at(source_, node.position, path, message, std::move(fix));
  }

  /// Runs `body` and gives an Error that leaves it the position of the value of `key`.
  template <typename Body>
  auto checked(std::string_view key, Body&& body) const {
    try {
      return body();
    } catch (const Error& error) {
      fail(require(key), path_of(key), error.message(), error.fix());
    }
  }
  template <typename Body>
  auto checked(const TomlItem& item, Body&& body) const {
    try {
      return body();
    } catch (const Error& error) {
      fail(item.node, path_of(item), error.message(), error.fix());
    }
  }

  [[nodiscard]] const TomlSource& source() const noexcept { return source_; }

 private:
  void check_keys(const KeyList& keys) const;
  [[nodiscard]] std::string path() const;
  /// How messages name the table: "[system]".
  [[nodiscard]] std::string name() const;
  [[nodiscard]] std::string suggestion_for(std::string_view key, const KeyList& keys) const;
  [[noreturn]] void fail_unknown(const TomlNode& child, const KeyList& keys) const;
  [[noreturn]] void fail_type(const TomlNode& node, std::string_view path, std::string_view expected) const;
  [[nodiscard]] std::vector<TomlItem> items(std::string_view key, TomlKind kind,
                                            std::string_view expected) const;

  const TomlSource& source_;
  const TomlNode& node_;
  std::string path_;
  std::optional<std::size_t> index_;  // in the array path_
};

}  // namespace karapace
