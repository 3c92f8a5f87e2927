// SPDX-License-Identifier: Apache-2.0
// What the parser, the writer and the verification of lock files share.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "karapace/schema/lock_file.hpp"

namespace karapace {

inline constexpr std::uint32_t kLockVersion = 2;

/// --update is no way out: it does not read past a lock that is broken, because a lock says how old is too
/// old.
inline constexpr std::string_view kNewLockFix =
    "Restore the lock from version control, or remove it and run `karapace build` to write a new one.";

/// The order of packages: name, version, arch.
[[nodiscard]] bool package_less(const LockedPackage& a, const LockedPackage& b) noexcept;

/// blake3 of the text that serialize_lock writes without comments and without the checksum itself, so that
/// `grep -v '^#\|^checksum' karapace.lock | b3sum` gives it too.
[[nodiscard]] std::string lock_checksum(const LockFile& lock);

/// Throws InvalidInput.
[[nodiscard]] BaseProvider parse_base_provider(std::string_view name);

}  // namespace karapace
