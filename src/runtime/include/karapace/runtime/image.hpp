// SPDX-License-Identifier: Apache-2.0
// base.image: what it may say and what it means.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "karapace/schema/lock_file.hpp"

namespace karapace::runtime {

/// The machine's architecture as Debian names it: "amd64", "arm64".
[[nodiscard]] std::string host_architecture();

struct AptSource {
  std::string name;  // repository name in the lock: "debian", "debian-security"
  std::string url;
  std::string suite;
  std::vector<std::string> components;
};

/// A parsed base.image.
struct ImageReference {
  BaseProvider provider = BaseProvider::Bootstrap;
  std::string canonical;               // "debian/bookworm"
  std::string display_name;            // "Debian 12 (bookworm)"
  std::vector<AptSource> apt_sources;  // Bootstrap
  std::string url;                     // Tar by URL
  std::string sha256;  // Tar by URL: from "#sha256=<hex>" or "?sha256=<hex>" or " sha256=<hex>"
  std::string path;    // Tar or Dir: host path, made absolute against the manifest's directory
};
/// Aliases of spec/runtime.md 4.1 plus debian/12, debian/13, debian/sid ...; "rootfs:./path" and plain
/// "./x.tar.xz", "/dir"; "http(s)://...". Unknown: InvalidInput that lists the nearest names. Known but not
/// available by any provider here: InvalidInput that says so. URL without sha256: InvalidInput that says how
/// to add it.
[[nodiscard]] ImageReference parse_image(std::string_view image, const std::string& manifest_directory);
[[nodiscard]] std::vector<std::string> image_aliases();

}  // namespace karapace::runtime
