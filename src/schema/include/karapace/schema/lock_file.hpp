// SPDX-License-Identifier: Apache-2.0
// karapace.lock v2: the base and the whole package closure, pinned by hash. docs/lock-spec.md is the
// reference.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "karapace/schema/identity.hpp"
#include "karapace/schema/manifest.hpp"

namespace karapace {

struct Repository {
  std::string name;   // "debian", "debian-security"; unique in the lock
  std::string url;    // "http://deb.debian.org/debian": not part of the identity
  std::string suite;  // may be empty
  std::vector<std::string> components;
  bool operator==(const Repository&) const = default;
};

struct LockedPackage {
  std::string name;
  std::string version;
  std::string arch;        // as the manager says: "amd64", "all"
  std::string sha256;      // 64 hex digits of the package file
  std::uint64_t size = 0;  // bytes of the package file
  std::string repository;  // name of a Repository; empty for the mock backend
  std::string path;        // relative to the repository's url
  bool requested = false;  // named in the manifest (or pulled in by it as a dependency: false)
  bool operator==(const LockedPackage&) const = default;
};

enum class BaseProvider { Bootstrap, Tar, Dir, Oci, Lxc, Mock };
[[nodiscard]] std::string_view to_string(BaseProvider provider) noexcept;

/// A file that a base is made from: a layer of an image, a root file system.
struct LockedFile {
  std::string role;        // "manifest", "layer", "rootfs"
  std::string url;         // http or https; empty: the image itself is a local file or directory
  std::string sha256;      // 64 hex digits
  std::uint64_t size = 0;  // in bytes
  bool operator==(const LockedFile&) const = default;
};

struct BasePin {
  BaseProvider provider = BaseProvider::Bootstrap;
  std::string distribution;  // "debian/bookworm"; oci: the reference in full; empty if unknown
  std::string variant;       // bootstrap: "minbase"; lxc: "default"
  std::string version;       // lxc: the image's build, "20260220_04:20"
  std::string url;           // tar by URL; lxc: the server
  std::string sha256;        // tar: of the archive file; oci: of the platform's manifest
  std::uint64_t size = 0;    // tar: of the archive file, 0 if unknown
  std::string index_sha256;  // oci: of the index that names the manifest, if it was found through one
  std::vector<LockedPackage> packages;  // bootstrap: the whole base closure
  std::vector<LockedFile> files;        // oci, lxc: what is fetched; layers in the order in which they apply
  bool operator==(const BasePin&) const = default;
};

struct LockFile {
  std::uint32_t lock_version = 2;
  std::string env_id;    // 64 hex digits
  std::string short_id;  // first 12
  std::string base_image;
  std::string base_image_digest;  // digest of the base layer, 64 hex digits
  std::string arch;               // "amd64", "arm64"
  Ownership ownership = Ownership::Flat;
  std::string
      dependency_layer;  // digest of the dependency layer once built; empty before, or without packages
  BasePin base;
  std::vector<Repository> repositories;          // sorted by name
  std::vector<LockedPackage> resolved_packages;  // sorted by name, version, arch
  std::vector<std::string>
      requested_packages;                  // the manifest's system.packages as written ("git=1:2.39", "awk"):
                                           // not identity, and not always the name of a locked package
  std::vector<std::string> resolved_apps;  // the manifest's gui.apps (their packages are in the closure)
  std::string runtime_backend;
  bool hardware_gpu = false;
  bool hardware_audio = false;
  bool network_isolation = false;
  std::vector<Mount> mounts;
  std::optional<std::uint64_t> cpu_shares;
  std::optional<std::uint64_t> memory_limit_mb;
  bool edited = false;  // set by parse_lock: the checksum in the file does not fit the rest
  bool operator==(const LockFile&) const = default;
};

inline constexpr std::size_t kMaxLockBytes = std::size_t{16} * 1024 * 1024;

/// Strict like the manifest parser: unknown keys, wrong types, unsorted or duplicate packages, a bad hash, a
/// path with "..", an unknown repository are ManifestError with line and column. Call verify_integrity on the
/// result.
[[nodiscard]] LockFile parse_lock(std::string_view text, std::string_view file_name);
/// Deterministic text: one block per package, no timestamps. parse_lock(serialize_lock(x)) == x for a sealed
/// x.
[[nodiscard]] std::string serialize_lock(const LockFile& lock);

/// "X.toml" -> "X.lock"; any other name gets ".lock" appended.
[[nodiscard]] std::string lock_path_for(const std::string& manifest_path);
/// Nothing if there is no such file.
[[nodiscard]] std::optional<LockFile> load_lock(const std::string& path);
/// Atomic and durable, mode 0644 & ~umask, in the directory of `path`. Does not touch a file with equal
/// content. Throws Internal rather than write a lock that parse_lock or verify_integrity would refuse.
void save_lock(const std::string& path, const LockFile& lock);

/// Copies what the lock keeps of the manifest: backend, hardware, mounts, limits, network, ownership, image,
/// apps, and the package names as written (requested_packages). So compare_intent(lock, manifest).fits()
/// holds afterwards: call it when the closure answers this manifest, not before.
void apply_policy(LockFile& lock, const Manifest& manifest);
/// Sorts every list, then sets env_id and short_id from the other fields.
void seal_identity(LockFile& lock);

/// The lock against itself: version, order, env_id, short_id, checksum. Throws ManifestError (edited by
/// hand).
void verify_integrity(const LockFile& lock, std::string_view file_name);

/// The lock against the manifest.
struct IntentReport {
  bool foreign = false;         // made for another manifest: image, ownership, or nothing in common
  bool policy_changed = false;  // hardware, mounts, limits, network, backend, a name moved to or from apps
  std::vector<std::string>
      added;  // in the manifest (packages and apps), not asked for when the lock was made
  std::vector<std::string> removed;  // asked for when the lock was made, not in the manifest
  std::vector<std::string> reasons;  // one sentence per difference
  [[nodiscard]] bool fits() const noexcept {
    return !foreign && !policy_changed && added.empty() && removed.empty();
  }
  [[nodiscard]] bool needs_resolution() const noexcept { return !added.empty() || !removed.empty(); }
};
[[nodiscard]] IntentReport compare_intent(const LockFile& lock, const Manifest& manifest);

}  // namespace karapace
