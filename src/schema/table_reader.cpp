// SPDX-License-Identifier: Apache-2.0
#include "table_reader.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "karapace/base/text.hpp"
#include "karapace/schema/manifest.hpp"

namespace karapace {

TableReader::TableReader(const TomlSource& source, const TomlNode& node, std::string path,
                         const KeyList& keys, std::string what)
    : source_(source), node_(node), path_(std::move(path)), what_(std::move(what)) {
  if (what_.empty()) what_ = path_.empty() ? "the file" : fmt::format("[{}]", path_);
  if (node.kind != TomlKind::Table) fail_type(node, path_, fmt::format("a table ({})", what_));
  if (keys.empty()) return;
  for (const TomlNode& child : node.children) {
    if (std::find(keys.begin(), keys.end(), child.key) == keys.end()) fail_unknown(child, keys);
  }
}

void TableReader::fail_unknown(const TomlNode& child, const KeyList& keys) const {
  const std::string nearest = nearest_name(child.key, keys);
  const std::string where = path_.empty() ? "" : fmt::format(" in {}", what_);
  std::string message = fmt::format("unknown key '{}'{}", printable(child.key), where);
  if (!nearest.empty()) {
    message += fmt::format(", did you mean '{}'?", nearest);
  } else {
    message += fmt::format("; known keys: {}", fmt::join(keys, ", "));
  }
  fail_at(source_, child.key_position, path_of(child.key), std::move(message));
}

void TableReader::fail_type(const TomlNode& node, std::string_view path, std::string_view expected) const {
  fail(node, path, fmt::format("'{}' must be {}, found {}", printable(path), expected, describe(node)));
}

std::string TableReader::path_of(std::string_view key) const {
  return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
}

const TomlNode& TableReader::require(std::string_view key) const {
  const TomlNode* found = find(key);
  if (found == nullptr) {
    const TextPosition position = path_.empty() ? TextPosition{} : node_.position;
    fail_at(source_, position, path_of(key), fmt::format("missing key '{}'", path_of(key)));
  }
  return *found;
}

std::string TableReader::as_string(const TomlNode& node, const std::string& path) const {
  if (node.kind != TomlKind::String) fail_type(node, path, "a string");
  return node.text;
}

std::string TableReader::required_string(std::string_view key) const {
  return as_string(require(key), path_of(key));
}

std::string TableReader::optional_string(std::string_view key, std::string_view fallback) const {
  const TomlNode* found = find(key);
  return found == nullptr ? std::string(fallback) : as_string(*found, path_of(key));
}

bool TableReader::required_bool(std::string_view key) const {
  static_cast<void>(require(key));
  return optional_bool(key, false);
}

bool TableReader::optional_bool(std::string_view key, bool fallback) const {
  const TomlNode* found = find(key);
  if (found == nullptr) return fallback;
  if (found->kind != TomlKind::Boolean) fail_type(*found, path_of(key), "a boolean (true or false)");
  return found->boolean;
}

std::uint64_t TableReader::as_unsigned(const TomlNode& node, const std::string& path) const {
  if (node.kind != TomlKind::Integer) fail_type(node, path, "an integer");
  if (node.integer < 0 || static_cast<std::uint64_t>(node.integer) > kMaxTomlInteger) {
    fail(
        node, path,
        fmt::format("'{}' is out of range: {} is not between 0 and {}", path, node.integer, kMaxTomlInteger));
  }
  return static_cast<std::uint64_t>(node.integer);
}

std::uint64_t TableReader::required_unsigned(std::string_view key) const {
  return as_unsigned(require(key), path_of(key));
}

std::optional<std::uint64_t> TableReader::optional_unsigned(std::string_view key) const {
  const TomlNode* found = find(key);
  if (found == nullptr) return std::nullopt;
  return as_unsigned(*found, path_of(key));
}

std::vector<TomlValue> TableReader::items(std::string_view key, TomlKind kind,
                                          std::string_view expected) const {
  std::vector<TomlValue> result;
  const TomlNode* found = find(key);
  if (found == nullptr) return result;
  if (found->kind != TomlKind::Array)
    fail_type(*found, path_of(key), fmt::format("an array of {}s", expected));
  result.reserve(found->children.size());
  for (const TomlNode& item : found->children) {
    std::string path = fmt::format("{}[{}]", path_of(key), result.size());
    if (item.kind != kind) fail_type(item, path, fmt::format("a {}", expected));
    result.push_back(TomlValue{item, std::move(path)});
  }
  return result;
}

std::vector<TomlValue> TableReader::string_items(std::string_view key) const {
  return items(key, TomlKind::String, "string");
}

std::vector<TomlValue> TableReader::table_items(std::string_view key) const {
  return items(key, TomlKind::Table, "table");
}

}  // namespace karapace
