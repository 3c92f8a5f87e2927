// SPDX-License-Identifier: Apache-2.0
// Lock files on disk, and what connects a lock with its manifest.
#include "karapace/schema/lock_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>

#include "karapace/base/durable.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "lock_text.hpp"
#include "normalize.hpp"
#include "source_file.hpp"

namespace karapace {
namespace {

/// Reading it with umask(2) would change it for every thread for a moment.
mode_t current_umask() {
  constexpr std::string_view kField = "\nUmask:\t";
  const std::string status = read_all(open_path("/proc/self/status", O_RDONLY), std::size_t{64} * 1024);
  const std::size_t at = status.find(kField);
  unsigned int mask = 022;
  if (at != std::string::npos) {
    std::from_chars(status.data() + at + kField.size(), status.data() + status.size(), mask, 8);
  }
  return static_cast<mode_t>(mask & 0777U);
}

std::vector<std::string> names_of(const std::vector<std::string>& packages,
                                  const std::vector<std::string>& apps) {
  std::vector<std::string> names = packages;
  names.insert(names.end(), apps.begin(), apps.end());
  sort_unique(names);
  return names;
}

std::vector<std::string> difference(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  std::vector<std::string> result;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(result));
  return result;
}

void compare_policy(const LockFile& lock, const Manifest& manifest, IntentReport& report) {
  const auto compare = [&report](bool same, std::string_view what) {
    if (same) return;
    report.policy_changed = true;
    report.reasons.push_back(fmt::format("{} changed", what));
  };
  compare(lock.runtime_backend == manifest.runtime_backend, "runtime.backend");
  compare(lock.hardware_gpu == manifest.hardware_gpu, "hardware.gpu");
  compare(lock.hardware_audio == manifest.hardware_audio, "hardware.audio");
  compare(lock.network_isolation == manifest.network_isolation, "runtime.network_isolation");
  compare(lock.cpu_shares == manifest.cpu_shares, "runtime.resource_limits.cpu_shares");
  compare(lock.memory_limit_mb == manifest.memory_limit_mb, "runtime.resource_limits.memory_limit_mb");
  compare(lock.mounts == manifest.mounts, "mounts");
}

bool repository_less(const Repository& a, const Repository& b) { return a.name < b.name; }

template <typename Item, typename Less = std::less<>>
bool is_strictly_sorted(const std::vector<Item>& items, Less less = {}) {
  return std::adjacent_find(items.begin(), items.end(),
                            [&](const Item& a, const Item& b) { return !less(a, b); }) == items.end();
}

bool is_sealed_order(const LockFile& lock) {
  return is_strictly_sorted(lock.resolved_packages, package_less) &&
         is_strictly_sorted(lock.base.packages, package_less) &&
         is_strictly_sorted(lock.repositories, repository_less) && is_strictly_sorted(lock.mounts) &&
         is_strictly_sorted(lock.requested_packages) && is_strictly_sorted(lock.resolved_apps);
}

}  // namespace

std::string_view to_string(BaseProvider provider) noexcept {
  switch (provider) {
    case BaseProvider::Bootstrap:
      return "bootstrap";
    case BaseProvider::Tar:
      return "tar";
    case BaseProvider::Dir:
      return "dir";
    case BaseProvider::Oci:
      return "oci";
    case BaseProvider::Lxc:
      return "lxc";
    case BaseProvider::Mock:
      break;
  }
  return "mock";
}

BaseProvider parse_base_provider(std::string_view name) {
  using enum BaseProvider;
  for (const BaseProvider provider : {Bootstrap, Tar, Dir, Oci, Lxc, Mock}) {
    if (to_string(provider) == name) return provider;
  }
  throw Error(ErrorCode::InvalidInput, fmt::format("unknown base provider '{}'", printable(name)));
}

std::string lock_path_for(const std::string& manifest_path) {
  constexpr std::string_view kExtension = ".toml";
  const std::size_t slash = manifest_path.rfind('/');
  const std::size_t name = slash == std::string::npos ? 0 : slash + 1;
  const bool has_stem = manifest_path.size() > name + kExtension.size();
  if (!has_stem || !manifest_path.ends_with(kExtension)) return manifest_path + ".lock";
  return manifest_path.substr(0, manifest_path.size() - kExtension.size()) + ".lock";
}

std::optional<LockFile> load_lock(const std::string& path) {
  const std::optional<std::string> text = try_read_source_file(path, kMaxLockBytes, kNewLockFix);
  if (!text) return std::nullopt;
  try {
    return parse_lock(*text, path);
  } catch (Error& error) {
    // Cut off or emptied, or with what a merge left: none of its parts says what to do.
    if (error.fix().empty()) error.set_fix(std::string(kNewLockFix));
    throw;
  }
}

void save_lock(const std::string& path, const LockFile& lock) {
  const std::string text = serialize_lock(lock);
  try {
    verify_integrity(parse_lock(text, path), path);
  } catch (const ManifestError& error) {
    throw Error(ErrorCode::Internal, fmt::format("refusing to write an invalid lock: {}", error.message()));
  }
  with_context([&] { return fmt::format("writing {}", printable(path)); },
               [&] {
                 const std::size_t slash = path.rfind('/');
                 const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
                 const UniqueFd dir = open_path(directory, O_RDONLY | O_DIRECTORY);
                 const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
                 const std::optional<struct stat> status = stat_at(dir, name);
                 const bool comparable =
                     status && S_ISREG(status->st_mode) && status->st_size == static_cast<off_t>(text.size());
                 if (comparable && read_file_at(dir, name, kMaxLockBytes) == text) return;
                 replace_file(dir, name, text, static_cast<mode_t>(0644U & ~current_umask()));
               });
}

void apply_policy(LockFile& lock, const Manifest& manifest) {
  lock.base_image = manifest.base_image;
  lock.ownership = manifest.ownership;
  lock.requested_packages = manifest.system_packages;
  lock.resolved_apps = manifest.gui_apps;
  lock.runtime_backend = manifest.runtime_backend;
  lock.hardware_gpu = manifest.hardware_gpu;
  lock.hardware_audio = manifest.hardware_audio;
  lock.network_isolation = manifest.network_isolation;
  lock.mounts = manifest.mounts;
  lock.cpu_shares = manifest.cpu_shares;
  lock.memory_limit_mb = manifest.memory_limit_mb;
}

void seal_identity(LockFile& lock) {
  std::sort(lock.resolved_packages.begin(), lock.resolved_packages.end(), package_less);
  std::sort(lock.base.packages.begin(), lock.base.packages.end(), package_less);
  std::sort(lock.repositories.begin(), lock.repositories.end(), repository_less);
  std::sort(lock.mounts.begin(), lock.mounts.end());
  sort_unique(lock.requested_packages);
  sort_unique(lock.resolved_apps);
  const EnvId id = compute_env_id(lock);
  lock.env_id = id.str();
  lock.short_id = id.short_id();
  lock.edited = false;
}

void verify_integrity(const LockFile& lock, std::string_view file_name) {
  const auto refuse = [&](std::string_view key, const std::string& message) {
    throw ManifestError(std::string(file_name), 0, 0, key, message,
                        fmt::format("The lock was changed by hand or by a merge. {}", kNewLockFix));
  };
  if (lock.lock_version != kLockVersion) {
    refuse("lock_version",
           fmt::format("unsupported lock_version: {}, expected {}", lock.lock_version, kLockVersion));
  }
  const EnvId id = compute_env_id(lock);
  if (id.str() != lock.env_id) {
    refuse("env_id",
           fmt::format("env_id mismatch: lock has '{}', recomputed '{}'", printable(lock.env_id), id.str()));
  }
  if (id.short_id() != lock.short_id) {
    refuse("short_id", fmt::format("short_id mismatch: lock has '{}', env_id begins with '{}'",
                                   printable(lock.short_id), id.short_id()));
  }
  if (lock.edited) refuse("checksum", "checksum mismatch: the file is not what karapace wrote");
  if (!is_sealed_order(lock)) refuse({}, "a list is not in its order");
}

IntentReport compare_intent(const LockFile& lock, const Manifest& manifest) {
  IntentReport report;
  if (lock.base_image != manifest.base_image) {
    report.foreign = true;
    report.reasons.push_back(fmt::format("base.image is '{}' in the manifest and '{}' in the lock",
                                         printable(manifest.base_image), printable(lock.base_image)));
  }
  if (lock.ownership != manifest.ownership) {
    report.foreign = true;
    report.reasons.push_back(fmt::format("system.ownership is '{}' in the manifest and '{}' in the lock",
                                         to_string(manifest.ownership), to_string(lock.ownership)));
  }
  const std::vector<std::string> wanted = names_of(manifest.system_packages, manifest.gui_apps);
  const std::vector<std::string> locked = names_of(lock.requested_packages, lock.resolved_apps);
  report.added = difference(wanted, locked);
  report.removed = difference(locked, wanted);
  if (!wanted.empty() && !locked.empty() && report.added.size() == wanted.size()) {
    report.foreign = true;
    report.reasons.emplace_back("the manifest and the lock name no package in common");
  }
  for (const std::string& name : report.added) report.reasons.push_back(fmt::format("'{}' was added", name));
  for (const std::string& name : report.removed)
    report.reasons.push_back(fmt::format("'{}' was removed", name));
  compare_policy(lock, manifest, report);
  if (!report.needs_resolution() && lock.resolved_apps != manifest.gui_apps) {
    report.policy_changed = true;
    report.reasons.emplace_back("gui.apps changed");
  }
  return report;
}

}  // namespace karapace
