// SPDX-License-Identifier: Apache-2.0
// Who an environment is. docs/hash-contract.md has the exact bytes and worked examples.
#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "karapace/base/digest.hpp"

namespace karapace {

struct LockFile;
struct Manifest;

/// 64 lower-case hex digits; built valid.
class EnvId {
 public:
  static constexpr std::size_t kShortLength = 12;
  /// Throws InvalidInput.
  [[nodiscard]] static EnvId parse(std::string_view hex);
  explicit EnvId(const Digest& digest) : hex_(digest.hex()) {}
  [[nodiscard]] const std::string& str() const noexcept { return hex_; }
  [[nodiscard]] std::string short_id() const { return hex_.substr(0, kShortLength); }
  auto operator<=>(const EnvId&) const = default;

 private:
  explicit EnvId(std::string hex) : hex_(std::move(hex)) {}
  std::string hex_;
};

/// Domain prefixes, hashed in front of the canonical JSON. The last byte of each is a newline.
inline constexpr std::string_view kEnvIdDomain = "karapace env-id v2\n";
inline constexpr std::string_view kPreliminaryIdDomain = "karapace preliminary-id v2\n";

/// The canonical JSON (RFC 8785) of the identity fields of a lock: apps, arch, audio, backend, base_digest,
/// cpu_shares, gpu, memory_limit_mb, mounts, network_isolation, ownership, packages {arch, name, sha256,
/// version}.
[[nodiscard]] std::string identity_json(const LockFile& lock);
[[nodiscard]] EnvId compute_env_id(const LockFile& lock);
/// Of an environment that was never resolved (init).
[[nodiscard]] EnvId compute_preliminary_id(const Manifest& manifest);

}  // namespace karapace
