// SPDX-License-Identifier: Apache-2.0
#include "table_reader.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "karapace/base/text.hpp"
#include "karapace/schema/manifest.hpp"

namespace karapace {

TableReader::TableReader(const TomlSource& source, const TomlNode& node, std::string path,
                         const KeyList& keys)
    : source_(source), node_(node), path_(std::move(path)) {
  check_keys(keys);
}

TableReader::TableReader(const TomlSource& source, const TomlItem& item, const KeyList& keys)
    : source_(source), node_(item.node), path_(item.list), index_(item.index) {
  check_keys(keys);
}

void TableReader::check_keys(const KeyList& keys) const {
  if (node_.kind != TomlKind::Table) fail_type(node_, path(), fmt::format("a table ({})", name()));
  if (keys.empty()) return;
  for (const TomlNode& child : node_.children) {
    if (std::find(keys.begin(), keys.end(), child.key) == keys.end()) fail_unknown(child, keys);
  }
}

std::string TableReader::path() const { return index_ ? fmt::format("{}[{}]", path_, *index_) : path_; }

std::string TableReader::name() const {
  return index_ ? fmt::format("[[{}]]", path_) : fmt::format("[{}]", path_);
}

std::string TableReader::path_of(std::string_view key) const {
  return path_.empty() ? std::string(key) : fmt::format("{}.{}", path(), key);
}

std::string TableReader::path_of(const TomlItem& item) const {
  return fmt::format("{}[{}]", path_of(item.list), item.index);
}

std::string TableReader::suggestion_for(std::string_view key, const KeyList& keys) const {
  std::string nearest = nearest_name(key, keys);
  if (!nearest.empty()) return nearest;
  for (const std::string_view path : source_.known_paths) {
    if (path.substr(path.rfind('.') + 1) == key) return std::string(path);
  }
  return {};
}

void TableReader::fail_unknown(const TomlNode& child, const KeyList& keys) const {
  const std::string nearest = suggestion_for(child.key, keys);
  std::string message = fmt::format("unknown key '{}'", printable(child.key));
  if (!path_.empty()) message += fmt::format(" in {}", name());
  if (!nearest.empty()) {
    message += fmt::format(", did you mean '{}'?", nearest);
  } else {
    message += fmt::format("; known keys: {}", fmt::join(keys, ", "));
  }
  fail_at(source_, child.key_position, path_of(child.key), message);
}

void TableReader::fail_type(const TomlNode& node, std::string_view path, std::string_view expected) const {
  fail(node, path, fmt::format("'{}' must be {}, found {}", printable(path), expected, describe(node)));
}

const TomlNode& TableReader::require(std::string_view key) const {
  const TomlNode* found = find(key);
  if (found == nullptr) {
    const TextPosition position = path_.empty() ? TextPosition{} : node_.position;
    fail_at(source_, position, path_of(key), fmt::format("missing key '{}'", path_of(key)));
  }
  return *found;
}

const std::string& TableReader::required_string(std::string_view key) const {
  const TomlNode& node = require(key);
  if (node.kind != TomlKind::String) fail_type(node, path_of(key), "a string");
  return node.text;
}

std::string TableReader::optional_string(std::string_view key, std::string_view fallback) const {
  return find(key) == nullptr ? std::string(fallback) : required_string(key);
}

bool TableReader::required_bool(std::string_view key) const {
  const TomlNode& node = require(key);
  if (node.kind != TomlKind::Boolean) fail_type(node, path_of(key), "a boolean (true or false)");
  return node.boolean;
}

bool TableReader::optional_bool(std::string_view key, bool fallback) const {
  return find(key) == nullptr ? fallback : required_bool(key);
}

std::uint64_t TableReader::required_unsigned(std::string_view key) const {
  const TomlNode& node = require(key);
  if (node.kind != TomlKind::Integer) fail_type(node, path_of(key), "an integer");
  if (node.integer < 0 || static_cast<std::uint64_t>(node.integer) > kMaxTomlInteger) {
    fail(node, path_of(key),
         fmt::format("'{}' is out of range: {} is not between 0 and {}", path_of(key), node.integer,
                     kMaxTomlInteger));
  }
  return static_cast<std::uint64_t>(node.integer);
}

std::optional<std::uint64_t> TableReader::optional_unsigned(std::string_view key) const {
  if (find(key) == nullptr) return std::nullopt;
  return required_unsigned(key);
}

std::vector<TomlItem> TableReader::items(std::string_view key, TomlKind kind,
                                         std::string_view expected) const {
  std::vector<TomlItem> result;
  const TomlNode* found = find(key);
  if (found == nullptr) return result;
  if (found->kind != TomlKind::Array) {
    fail_type(*found, path_of(key), fmt::format("an array of {}s", expected));
  }
  result.reserve(found->children.size());
  for (const TomlNode& node : found->children) {
    const TomlItem item{node, found->key, result.size()};
    if (node.kind != kind) fail_type(node, path_of(item), fmt::format("a {}", expected));
    result.push_back(item);
  }
  return result;
}

std::vector<TomlItem> TableReader::string_items(std::string_view key) const {
  return items(key, TomlKind::String, "string");
}

std::vector<TomlItem> TableReader::table_items(std::string_view key) const {
  return items(key, TomlKind::Table, "table");
}

}  // namespace karapace
