// SPDX-License-Identifier: Apache-2.0
#include "manifest_json.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "normalize.hpp"
#include "table_reader.hpp"

namespace karapace {
namespace {

[[noreturn]] void corrupt(std::string_view what) {
  throw Error(ErrorCode::Corrupt, fmt::format("the stored manifest is damaged: {}", what));
}

const Json& require(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) corrupt(fmt::format("'{}' is missing", key));
  return *found;
}

std::string text_of(const Json& value, std::string_view key) {
  if (!value.is_string()) corrupt(fmt::format("'{}' is not a string", key));
  return value.get<std::string>();
}

bool flag_of(const Json& object, const char* key) {
  const Json& value = require(object, key);
  if (!value.is_boolean()) corrupt(fmt::format("'{}' is not a boolean", key));
  return value.get<bool>();
}

std::uint64_t number_of(const Json& value, std::string_view key) {
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > kMaxTomlInteger) {
    corrupt(fmt::format("'{}' is not an integer in range", key));
  }
  return value.get<std::uint64_t>();
}

std::optional<std::uint64_t> limit_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return std::nullopt;
  return number_of(*found, key);
}

std::vector<std::string> names_of(const Json& object, const char* key) {
  const Json& value = require(object, key);
  if (!value.is_array()) corrupt(fmt::format("'{}' is not an array", key));
  std::vector<std::string> names;
  for (const Json& item : value) {
    names.push_back(text_of(item, key));
    if (!is_package_name(names.back())) corrupt(fmt::format("'{}' holds an invalid name", key));
  }
  if (!std::is_sorted(names.begin(), names.end())) corrupt(fmt::format("'{}' is not sorted", key));
  return names;
}

std::vector<Mount> mounts_of(const Json& value) {
  if (!value.is_array()) corrupt("'mounts' is not an array");
  std::vector<Mount> mounts;
  MountNames names;
  for (const Json& item : value) {
    if (!item.is_object()) corrupt("'mounts' holds something that is no object");
    Mount mount;
    mount.label = text_of(require(item, "label"), "label");
    mount.host_path = text_of(require(item, "host_path"), "host_path");
    mount.container_path = text_of(require(item, "container_path"), "container_path");
    if (item.contains("access")) mount.access = parse_mount_access(text_of(item["access"], "access"));
    check_mount(mount);
    names.add(mount);
    mounts.push_back(std::move(mount));
  }
  return mounts;
}

Manifest read_manifest(const Json& json) {
  if (!json.is_object()) corrupt("not an object");
  Manifest manifest;
  const std::uint64_t version = number_of(require(json, "manifest_version"), "manifest_version");
  if (version != 1) corrupt(fmt::format("unsupported manifest_version {}", version));
  manifest.base_image = normalize_image(text_of(require(json, "base_image"), "base_image"));
  manifest.system_packages = names_of(json, "system_packages");
  manifest.gui_apps = names_of(json, "gui_apps");
  manifest.hardware_gpu = flag_of(json, "hardware_gpu");
  manifest.hardware_audio = flag_of(json, "hardware_audio");
  manifest.mounts = mounts_of(require(json, "mounts"));
  manifest.runtime_backend = normalize_backend(text_of(require(json, "runtime_backend"), "runtime_backend"));
  manifest.network_isolation = flag_of(json, "network_isolation");
  manifest.cpu_shares = limit_of(json, "cpu_shares");
  manifest.memory_limit_mb = limit_of(json, "memory_limit_mb");
  if (json.contains("ownership"))
    manifest.ownership = parse_ownership(text_of(json["ownership"], "ownership"));
  if (json.contains("home")) manifest.home = parse_home(text_of(json["home"], "home"));
  return manifest;
}

}  // namespace

Json mounts_to_json(const std::vector<Mount>& mounts) {
  Json array = Json::array();
  for (const Mount& mount : mounts) {
    array.push_back(Json{{"access", to_string(mount.access)},
                         {"container_path", mount.container_path},
                         {"host_path", mount.host_path},
                         {"label", mount.label}});
  }
  return array;
}

Json limit_to_json(const std::optional<std::uint64_t>& limit) { return limit ? Json(*limit) : Json(nullptr); }

Json manifest_to_json(const Manifest& manifest) {
  return Json{{"manifest_version", manifest.version},
              {"base_image", manifest.base_image},
              {"system_packages", manifest.system_packages},
              {"gui_apps", manifest.gui_apps},
              {"hardware_gpu", manifest.hardware_gpu},
              {"hardware_audio", manifest.hardware_audio},
              {"mounts", mounts_to_json(manifest.mounts)},
              {"runtime_backend", manifest.runtime_backend},
              {"network_isolation", manifest.network_isolation},
              {"cpu_shares", limit_to_json(manifest.cpu_shares)},
              {"memory_limit_mb", limit_to_json(manifest.memory_limit_mb)},
              {"ownership", to_string(manifest.ownership)},
              {"home", to_string(manifest.home)}};
}

std::string manifest_canonical_json(const Manifest& manifest) {
  return canonical_json(manifest_to_json(manifest));
}

Manifest parse_manifest_canonical_json(std::string_view json) {
  try {
    return read_manifest(parse_json(json, "stored manifest"));
  } catch (const Error& error) {
    if (error.code() == ErrorCode::Corrupt) throw;
    corrupt(error.message());
  }
}

}  // namespace karapace
