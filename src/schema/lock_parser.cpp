// SPDX-License-Identifier: Apache-2.0
// TOML to LockFile. Everything in a lock reaches a downloader, a package manager or a path later, and a lock
// may come from anybody, so each value is checked here, with its position.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <tuple>

#include "karapace/base/rel_path.hpp"
#include "karapace/base/text.hpp"
#include "karapace/schema/lock_file.hpp"
#include "lock_text.hpp"
#include "normalize.hpp"
#include "table_reader.hpp"

namespace karapace {
namespace {

const KeyList kTopKeys = {"lock_version",
                          "checksum",
                          "env_id",
                          "short_id",
                          "base_image",
                          "base_image_digest",
                          "arch",
                          "ownership",
                          "dependency_layer",
                          "runtime_backend",
                          "hardware_gpu",
                          "hardware_audio",
                          "network_isolation",
                          "cpu_shares",
                          "memory_limit_mb",
                          "requested_packages",
                          "resolved_apps",
                          "base",
                          "mounts",
                          "repositories",
                          "resolved_packages",
                          "base_packages",
                          "base_files"};
const KeyList kBaseKeys = {"provider", "distribution", "variant", "version",
                           "url",      "sha256",       "size",    "index_sha256"};
const KeyList kFileKeys = {"role", "url", "sha256", "size"};
const KeyList kMountKeys = {"label", "host_path", "container_path", "access"};
const KeyList kRepositoryKeys = {"name", "url", "suite", "components"};
const KeyList kPackageKeys = {"name", "version", "arch", "sha256", "size", "repository", "path", "requested"};

constexpr std::size_t kMaxWordBytes = 1024;
constexpr std::size_t kMaxBaseFiles = 1024;

[[noreturn]] void refuse(std::string message) { throw Error(ErrorCode::InvalidInput, std::move(message)); }

/// Printable ASCII without blanks.
void check_word(std::string_view text, std::string_view what) {
  const bool good = !text.empty() && text.size() <= kMaxWordBytes &&
                    std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7F; });
  if (!good) refuse(fmt::format("'{}' is not a {}", printable(text), what));
}

void check_hex(std::string_view text, std::size_t digits) {
  const bool good = text.size() == digits && std::all_of(text.begin(), text.end(), [](char c) {
                      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
                    });
  if (!good) refuse(fmt::format("'{}' is not {} lower-case hex digits", printable(text), digits));
}

void check_arch(std::string_view text) {
  const bool good = !text.empty() && text.size() <= 32 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
  if (!good) refuse(fmt::format("'{}' is not an architecture", printable(text)));
}

void check_repository_url(std::string_view url) {
  constexpr std::array<std::string_view, 4> kSchemes = {"https://", "http://", "file:", "copy:"};
  check_word(url, "URL");
  if (std::none_of(kSchemes.begin(), kSchemes.end(),
                   [&](std::string_view s) { return url.starts_with(s); })) {
    refuse(fmt::format("'{}' is not a URL that packages can come from", printable(url)));
  }
}

void check_web_address(std::string_view url) {
  check_word(url, "URL");
  if (!url.starts_with("https://") && !url.starts_with("http://"))
    refuse(fmt::format("'{}' does not begin with https:// or http://", printable(url)));
}

void check_role(std::string_view role) {
  constexpr std::array<std::string_view, 3> kRoles = {"manifest", "layer", "rootfs"};
  if (std::find(kRoles.begin(), kRoles.end(), role) == kRoles.end())
    refuse(fmt::format("'{}' is not what a file of a base can be", printable(role)));
}

/// Reads a required string and checks it; the error gets the position of the value.
template <typename Check>
std::string checked_string(const TableReader& table, std::string_view key, Check&& check) {
  const std::string& text = table.required_string(key);
  table.checked(key, [&] { check(text); });
  return text;
}

template <typename Check>
std::string checked_optional(const TableReader& table, std::string_view key, Check&& check) {
  return table.find(key) == nullptr ? std::string() : checked_string(table, key, check);
}

auto hex_of(std::size_t digits) {
  return [digits](const std::string& text) { check_hex(text, digits); };
}

auto word_of(std::string_view what) {
  return [what](const std::string& text) { check_word(text, what); };
}

std::vector<std::string> read_sorted_names(const TableReader& table, std::string_view key) {
  static_cast<void>(table.require(key));
  std::vector<std::string> names;
  for (const TomlItem& item : table.string_items(key)) {
    const std::string& name = item.node.text;
    if (!is_package_name(name)) {
      table.fail(item.node, table.path_of(item), fmt::format("'{}' is not a package name", printable(name)));
    }
    if (!names.empty() && names.back() >= name)
      table.fail(item.node, table.path_of(item), fmt::format("'{}' is not in order", name));
    names.push_back(name);
  }
  return names;
}

LockedPackage read_package(const TableReader& table, const std::set<std::string>& repositories) {
  LockedPackage package;
  package.name = checked_string(table, "name", [](const std::string& text) {
    if (!is_package_name(text)) refuse(fmt::format("'{}' is not a package name", printable(text)));
  });
  package.version = checked_string(table, "version", word_of("version"));
  package.arch = checked_string(table, "arch", check_arch);
  package.sha256 = checked_string(table, "sha256", hex_of(64));
  package.size = table.required_unsigned("size");
  package.repository = checked_optional(table, "repository", [&](const std::string& text) {
    if (!repositories.contains(text))
      refuse(fmt::format("there is no repository '{}' in this lock", printable(text)));
  });
  package.path = checked_optional(table, "path", [&](const std::string& text) {
    check_word(text, "path");
    static_cast<void>(RelPath::parse(text));
    if (package.repository.empty()) refuse("a path without a repository");
  });
  if (!package.repository.empty()) static_cast<void>(table.require("path"));
  package.requested = table.optional_bool("requested", false);
  return package;
}

std::vector<LockedPackage> read_packages(const TableReader& top, std::string_view key,
                                         const std::set<std::string>& repositories) {
  std::vector<LockedPackage> packages;
  for (const TomlItem& item : top.table_items(key)) {
    packages.push_back(read_package(TableReader(top.source(), item, kPackageKeys), repositories));
    if (packages.size() < 2) continue;
    const LockedPackage& last = packages.back();
    if (!package_less(packages[packages.size() - 2], last)) {
      top.fail(item.node, top.path_of(item),
               fmt::format("package '{}' {} {} is twice in the list or not in order", last.name, last.version,
                           last.arch));
    }
  }
  return packages;
}

std::vector<Repository> read_repositories(const TableReader& top) {
  std::vector<Repository> repositories;
  for (const TomlItem& item : top.table_items("repositories")) {
    const TableReader table(top.source(), item, kRepositoryKeys);
    Repository& repository = repositories.emplace_back();
    repository.name = checked_string(table, "name", word_of("repository name"));
    repository.url = checked_string(table, "url", check_repository_url);
    repository.suite = checked_optional(table, "suite", word_of("suite"));
    for (const TomlItem& component : table.string_items("components")) {
      table.checked(component, [&] { check_word(component.node.text, "component"); });
      repository.components.push_back(component.node.text);
    }
    if (repositories.size() > 1 && repositories[repositories.size() - 2].name >= repository.name) {
      top.fail(item.node, top.path_of(item),
               fmt::format("repository '{}' is twice in the list or not in order", repository.name));
    }
  }
  return repositories;
}

std::vector<Mount> read_mounts(const TableReader& top) {
  std::vector<Mount> mounts;
  MountNames names;
  for (const TomlItem& item : top.table_items("mounts")) {
    const TableReader table(top.source(), item, kMountKeys);
    Mount mount;
    mount.label = table.required_string("label");
    mount.host_path = table.required_string("host_path");
    mount.container_path = table.required_string("container_path");
    table.checked(item, [&] {
      mount.access = parse_mount_access(table.optional_string("access", "rw"));
      check_mount(mount);
      names.add(mount);
      if (!mounts.empty() && mount < mounts.back())
        refuse(fmt::format("mount '{}' is not in order", mount.label));
    });
    mounts.push_back(std::move(mount));
  }
  return mounts;
}

BasePin read_base(const TableReader& top) {
  const TableReader table(top.source(), top.require("base"), "base", kBaseKeys);
  BasePin base;
  static_cast<void>(checked_string(
      table, "provider", [&](const std::string& text) { base.provider = parse_base_provider(text); }));
  base.distribution = checked_optional(table, "distribution", word_of("distribution"));
  base.variant = checked_optional(table, "variant", word_of("variant"));
  base.version = checked_optional(table, "version", word_of("version"));
  base.url = checked_optional(table, "url", word_of("URL"));
  base.sha256 = checked_optional(table, "sha256", hex_of(64));
  base.index_sha256 = checked_optional(table, "index_sha256", hex_of(64));
  base.size = table.optional_unsigned("size").value_or(0);
  if (base.provider == BaseProvider::Tar || base.provider == BaseProvider::Oci)
    static_cast<void>(table.require("sha256"));
  return base;
}

/// In the order of the file: layers lie on each other.
std::vector<LockedFile> read_base_files(const TableReader& top) {
  std::vector<LockedFile> files;
  for (const TomlItem& item : top.table_items("base_files")) {
    const TableReader table(top.source(), item, kFileKeys);
    if (files.size() == kMaxBaseFiles) top.fail(item.node, top.path_of(item), "too many files");
    LockedFile& file = files.emplace_back();
    file.role = checked_string(table, "role", check_role);
    file.url = checked_optional(table, "url", check_web_address);
    file.sha256 = checked_string(table, "sha256", hex_of(64));
    file.size = table.required_unsigned("size");
  }
  return files;
}

void check_version(const TableReader& any_keys) {
  const std::uint64_t version = any_keys.required_unsigned("lock_version");
  if (version == kLockVersion) return;
  any_keys.fail(any_keys.require("lock_version"), "lock_version",
                fmt::format("unsupported lock_version: {}, expected {}", version, kLockVersion),
                version > kLockVersion ? std::string("This lock was written by a newer karapace.")
                                       : std::string(kNewLockFix));
}

void read_policy(const TableReader& top, LockFile& lock) {
  lock.runtime_backend = checked_string(top, "runtime_backend", [](const std::string& text) {
    if (normalize_backend(text) != text) refuse(fmt::format("'{}' is not a backend", printable(text)));
  });
  lock.hardware_gpu = top.required_bool("hardware_gpu");
  lock.hardware_audio = top.required_bool("hardware_audio");
  lock.network_isolation = top.required_bool("network_isolation");
  lock.cpu_shares = top.optional_unsigned("cpu_shares");
  lock.memory_limit_mb = top.optional_unsigned("memory_limit_mb");
  lock.mounts = read_mounts(top);
}

LockFile read_lock(const TomlSource& source, const TomlNode& root) {
  check_version(TableReader(source, root, {}, {}));
  const TableReader top(source, root, {}, kTopKeys);
  LockFile lock;
  const std::string checksum = checked_string(top, "checksum", hex_of(64));
  lock.env_id = checked_string(top, "env_id", hex_of(64));
  lock.short_id = checked_string(top, "short_id", hex_of(EnvId::kShortLength));
  lock.base_image = checked_string(top, "base_image", [](const std::string& text) {
    if (normalize_image(text) != text) refuse("base_image has blanks around it");
  });
  lock.base_image_digest = checked_string(top, "base_image_digest", hex_of(64));
  lock.arch = checked_string(top, "arch", check_arch);
  static_cast<void>(checked_string(top, "ownership",
                                   [&](const std::string& text) { lock.ownership = parse_ownership(text); }));
  lock.dependency_layer = checked_optional(top, "dependency_layer", hex_of(64));
  read_policy(top, lock);
  lock.requested_packages = read_sorted_names(top, "requested_packages");
  lock.resolved_apps = read_sorted_names(top, "resolved_apps");
  lock.base = read_base(top);
  lock.repositories = read_repositories(top);
  std::set<std::string> repository_names;
  for (const Repository& repository : lock.repositories) repository_names.insert(repository.name);
  static_cast<void>(top.require("resolved_packages"));
  lock.resolved_packages = read_packages(top, "resolved_packages", repository_names);
  lock.base.packages = read_packages(top, "base_packages", repository_names);
  lock.base.files = read_base_files(top);
  lock.edited = checksum != lock_checksum(lock);
  return lock;
}

}  // namespace

LockFile parse_lock(std::string_view text, std::string_view file_name) {
  const TomlSource source{text, file_name};
  if (text.size() <= kMaxLockBytes) {
    if (const std::optional<TomlNode> root = try_parse_plain_toml(text)) {
      try {
        return read_lock(source, *root);
      } catch (const ManifestError&) {
        // The plain reader keeps no positions: read again to say where the fault is.
      }
    }
  }
  return read_lock(source, parse_toml(source, kMaxLockBytes));
}

}  // namespace karapace
