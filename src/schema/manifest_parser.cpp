// SPDX-License-Identifier: Apache-2.0
// TOML to Manifest: each section reads its keys, checks and normalises them, and reports where a fault is.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "karapace/schema/manifest.hpp"
#include "normalize.hpp"
#include "table_reader.hpp"

namespace karapace {
namespace {

constexpr std::array<std::string_view, 13> kKnownPaths = {"base.image",
                                                          "system.packages",
                                                          "system.ownership",
                                                          "gui.apps",
                                                          "hardware.gpu",
                                                          "hardware.audio",
                                                          "runtime.backend",
                                                          "runtime.network_isolation",
                                                          "runtime.home",
                                                          "runtime.resource_limits",
                                                          "runtime.resource_limits.cpu_shares",
                                                          "runtime.resource_limits.memory_limit_mb",
                                                          "mounts"};
const KeyList kTopKeys = {"manifest_version", "base", "system", "gui", "hardware", "mounts", "runtime"};
const KeyList kBaseKeys = {"image"};
const KeyList kSystemKeys = {"packages", "ownership"};
const KeyList kGuiKeys = {"apps"};
const KeyList kHardwareKeys = {"gpu", "audio"};
const KeyList kRuntimeKeys = {"backend", "network_isolation", "resource_limits", "home"};
const KeyList kLimitKeys = {"cpu_shares", "memory_limit_mb"};

/// Before anything else: a manifest of a later version may have keys that we would call unknown.
void check_version(const TomlSource& source, const TomlNode& root) {
  const TomlNode* version = root.find("manifest_version");
  if (version == nullptr) {
    fail_at(source, {}, "manifest_version", "missing key 'manifest_version'",
            "Begin the file with manifest_version = 1.");
  }
  if (version->kind != TomlKind::Integer) {
    fail_at(source, version->position, "manifest_version",
            fmt::format("'manifest_version' must be an integer, found {}", describe(*version)));
  }
  if (version->integer != 1) {
    fail_at(source, version->position, "manifest_version",
            fmt::format("unsupported manifest_version: {}, expected 1", version->integer),
            version->integer > 1 ? "This manifest was written for a newer karapace." : "");
  }
}

std::vector<std::string> read_names(const TableReader& table, std::string_view key) {
  std::vector<std::string> names;
  const std::string list = table.path_of(key);
  for (const TomlItem& item : table.string_items(key)) {
    std::string name = table.checked(item, [&] { return normalize_package_name(item.node.text, list); });
    if (!name.empty()) names.push_back(std::move(name));
  }
  sort_unique(names);
  return names;
}

void read_mounts(const TomlSource& source, const TomlNode& node, Manifest& manifest) {
  const TableReader table(source, node, "mounts", {});
  std::vector<const TomlNode*> entries;
  for (const TomlNode& entry : node.children) entries.push_back(&entry);
  std::sort(entries.begin(), entries.end(), [](const auto* a, const auto* b) { return a->key < b->key; });
  MountNames names;
  for (const TomlNode* entry : entries) {
    const std::string& value = table.required_string(entry->key);
    table.checked(entry->key, [&] {
      manifest.mounts.push_back(normalize_mount(entry->key, value));
      names.add(manifest.mounts.back());
    });
  }
  std::sort(manifest.mounts.begin(), manifest.mounts.end());
}

/// An optional string that `parse` turns into a value; the error gets the position of the string.
template <typename Value, typename Parse>
void read_choice(const TableReader& table, std::string_view key, Value& value, Parse&& parse) {
  if (table.find(key) == nullptr) return;
  const std::string& raw = table.required_string(key);
  table.checked(key, [&] { value = parse(raw); });
}

void read_runtime(const TomlSource& source, const TomlNode& node, Manifest& manifest) {
  const TableReader table(source, node, "runtime", kRuntimeKeys);
  read_choice(table, "backend", manifest.runtime_backend, normalize_backend);
  read_choice(table, "home", manifest.home, parse_home);
  manifest.network_isolation = table.optional_bool("network_isolation", false);
  if (const TomlNode* limits = table.find("resource_limits")) {
    const TableReader reader(source, *limits, table.path_of("resource_limits"), kLimitKeys);
    manifest.cpu_shares = reader.optional_unsigned("cpu_shares");
    manifest.memory_limit_mb = reader.optional_unsigned("memory_limit_mb");
  }
}

void read_sections(const TomlSource& source, const TableReader& top, Manifest& manifest) {
  const TableReader base(source, top.require("base"), "base", kBaseKeys);
  static_cast<void>(base.require("image"));
  read_choice(base, "image", manifest.base_image, normalize_image);

  if (const TomlNode* node = top.find("system")) {
    const TableReader system(source, *node, "system", kSystemKeys);
    manifest.system_packages = read_names(system, "packages");
    read_choice(system, "ownership", manifest.ownership, parse_ownership);
  }
  if (const TomlNode* node = top.find("gui")) {
    manifest.gui_apps = read_names(TableReader(source, *node, "gui", kGuiKeys), "apps");
  }
  if (const TomlNode* node = top.find("hardware")) {
    const TableReader hardware(source, *node, "hardware", kHardwareKeys);
    manifest.hardware_gpu = hardware.optional_bool("gpu", false);
    manifest.hardware_audio = hardware.optional_bool("audio", false);
  }
  if (const TomlNode* node = top.find("mounts")) read_mounts(source, *node, manifest);
  if (const TomlNode* node = top.find("runtime")) read_runtime(source, *node, manifest);
}

}  // namespace

Manifest parse_manifest(std::string_view text, std::string_view file_name) {
  const TomlSource source{text, file_name, kKnownPaths};
  const TomlNode root = parse_toml(source, kMaxManifestBytes);
  check_version(source, root);
  Manifest manifest;
  read_sections(source, TableReader(source, root, {}, kTopKeys), manifest);
  return manifest;
}

}  // namespace karapace
