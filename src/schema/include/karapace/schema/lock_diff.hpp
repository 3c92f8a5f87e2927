// SPDX-License-Identifier: Apache-2.0
// Why two locks are two identities: the inputs that differ, each with the least that explains it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "karapace/schema/lock_file.hpp"
#include "karapace/schema/manifest.hpp"

namespace karapace {

enum class ChangeSign : std::uint8_t { Added, Removed, Changed };
[[nodiscard]] std::string_view to_string(ChangeSign sign) noexcept;  // "added", "removed", "changed"

/// One property of an input. An empty text: there is none on that side.
struct FieldChange {
  std::string field;  // "version", "sha256", "image", ...
  std::string from;
  std::string to;
  bool operator==(const FieldChange&) const = default;
};

/// One input that differs.
struct InputChange {
  ChangeSign sign = ChangeSign::Changed;
  /// "package", "app", "request" (a name in the manifest, whose package is the same if there is one),
  /// "dependencies" (packages of which the locks do not say who needs them), "relocated" (the same packages
  /// in other places), "base", "base-package", "mount", "policy", "arch", "format", "repository",
  /// "dependency-layer".
  std::string what;
  std::string name;  // of the package, the mount's label, the manifest's key ("hardware.gpu"); may be empty
  bool identity = true;               // moves env_id, by itself or by what it includes
  std::vector<FieldChange> fields;    // only what does not follow from another: a new version has a new hash
  std::vector<InputChange> includes;  // what it brought along, or consists of
  bool operator==(const InputChange&) const = default;
};

/// What differs from `a` to `b`, causes before consequences, what does not move the identity last. Empty if
/// nothing does. If one of them was never resolved (unresolved_lock), only what a manifest says is compared.
[[nodiscard]] std::vector<InputChange> compare_inputs(const LockFile& a, const LockFile& b);

/// What a manifest says, as a lock without base digest, closure and id.
[[nodiscard]] LockFile unresolved_lock(const Manifest& manifest);
[[nodiscard]] bool is_resolved(const LockFile& lock) noexcept;

}  // namespace karapace
