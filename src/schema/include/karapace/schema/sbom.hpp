// SPDX-License-Identifier: Apache-2.0
// What a lock names, as a software bill of materials.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "karapace/schema/lock_file.hpp"

namespace karapace {

enum class SbomFormat : std::uint8_t { Spdx, CycloneDx };
/// "spdx", "cyclonedx". Throws InvalidInput that lists them.
[[nodiscard]] SbomFormat parse_sbom_format(std::string_view name);

/// SPDX 2.3 or CycloneDX 1.5 as JSON text: the base with its packages or files, and every package of the
/// closure with version, architecture, sha256, source and package URL. The same lock gives the same bytes,
/// whoever asks, wherever and whenever. `created` is a time in UTC as "2025-01-01T00:00:00Z". `lock` is a
/// sealed one.
[[nodiscard]] std::string make_sbom(const LockFile& lock, SbomFormat format, std::string_view created);

/// "pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=amd64".
[[nodiscard]] std::string package_url(const LockedPackage& package, const LockFile& lock);

}  // namespace karapace
