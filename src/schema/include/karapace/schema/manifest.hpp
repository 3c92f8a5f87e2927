// SPDX-License-Identifier: Apache-2.0
// Manifest v1: what a developer writes. docs/manifest-spec.md is the reference.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "karapace/base/digest.hpp"
#include "karapace/base/error.hpp"

namespace karapace {

/// A fault in a manifest or lock file. what() reads "karapace.toml:4:1: unknown key 'pakages' in [system],
/// did you mean 'packages'?".
class ManifestError : public Error {
 public:
  ManifestError(std::string file, std::uint32_t line, std::uint32_t column, std::string_view key,
                std::string_view message, std::string fix = {});
  /// As given, not made printable; what() and key() are.
  [[nodiscard]] const std::string& file() const noexcept { return file_; }
  [[nodiscard]] std::uint32_t line() const noexcept { return line_; }      // 1-based; 0 if there is none
  [[nodiscard]] std::uint32_t column() const noexcept { return column_; }  // 1-based, in bytes
  [[nodiscard]] const std::string& key() const noexcept { return key_; }   // dotted path, may be empty

 private:
  std::string file_;
  std::uint32_t line_;
  std::uint32_t column_;
  std::string key_;
};

enum class Ownership { Flat, Mapped };
enum class Home { Private, Shared };
[[nodiscard]] std::string_view to_string(Ownership ownership) noexcept;  // "flat", "mapped"
[[nodiscard]] std::string_view to_string(Home home) noexcept;            // "private", "shared"

enum class MountAccess { ReadWrite, ReadOnly };

struct Mount {
  std::string label;
  // As written: absolute, "~/...", "./..." (relative to the manifest), never with "..".
  std::string host_path;
  std::string container_path;                   // absolute, normalised, no ".."
  MountAccess access = MountAccess::ReadWrite;  // "host:container:ro"
  // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 takes the 0 inside a defaulted <=> for a pointer
  auto operator<=>(const Mount&) const = default;
};

/// A valid, normalised manifest: trimmed, sorted, without duplicates. Every name in it has been checked.
struct Manifest {
  std::uint32_t version = 1;
  std::string base_image;
  std::vector<std::string> system_packages;
  std::vector<std::string> gui_apps;
  bool hardware_gpu = false;
  bool hardware_audio = false;
  std::vector<Mount> mounts;
  std::string runtime_backend = "namespace";  // "namespace", "oci" or "mock"
  bool network_isolation = false;
  std::optional<std::uint64_t> cpu_shares;
  std::optional<std::uint64_t> memory_limit_mb;
  Ownership ownership = Ownership::Flat;  // system.ownership
  Home home = Home::Private;              // runtime.home: policy, not identity

  bool operator==(const Manifest&) const = default;
};

inline constexpr std::size_t kMaxManifestBytes = std::size_t{1024} * 1024;

/// Parses, checks and normalises. `file_name` is used in messages only. Throws ManifestError.
[[nodiscard]] Manifest parse_manifest(std::string_view text, std::string_view file_name);

/// Reads (bounded) and parses the file. A missing file is NotFound-like InvalidInput that names `karapace
/// new`.
[[nodiscard]] Manifest load_manifest(const std::string& path);

/// RFC 8785 bytes with every key present, absent limits null. These bytes are stored as the manifest object.
[[nodiscard]] std::string manifest_canonical_json(const Manifest& manifest);
/// Reads it back. Throws Corrupt.
[[nodiscard]] Manifest parse_manifest_canonical_json(std::string_view json);

/// True if `name` may reach a package manager: [A-Za-z0-9][A-Za-z0-9+._:~^/@=-]*, at most 256 bytes.
[[nodiscard]] bool is_package_name(std::string_view name) noexcept;

/// Closest of `candidates` by edit distance (at most a third of the length), or empty.
[[nodiscard]] std::string nearest_name(std::string_view name,
                                       const std::vector<std::string_view>& candidates);

}  // namespace karapace
