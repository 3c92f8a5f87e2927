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
  std::string path;    // Tar, Dir or a local Oci: host path, made absolute against the manifest's directory
  std::string reference;  // Oci in a registry: its name as written, "oci:ghcr.io/team/tool:1"
  std::string tag;        // local Oci: which image of several; may be empty

  /// True if finding out what it is now, or getting it, takes the network.
  [[nodiscard]] bool is_remote() const noexcept {
    return provider == BaseProvider::Bootstrap || provider == BaseProvider::Lxc || !reference.empty();
  }
};
/// Aliases (image_aliases) and "images:NAME" of the Linux Containers image server; "oci:HOST/NAME:TAG";
/// "oci-layout:./path[:tag]", "oci-archive:./file[:tag]"; "rootfs:./path" and plain "./x.tar.xz", "/dir";
/// "http(s)://..." with its sha256. Throws InvalidInput for anything else, with the nearest names. What
/// stands behind "oci:" is not looked at here. `if_missing` is what a local image is taken for that is not
/// there; nothing: that is InvalidInput.
[[nodiscard]] ImageReference parse_image(std::string_view image, const std::string& manifest_directory,
                                         std::optional<BaseProvider> if_missing = std::nullopt);
[[nodiscard]] std::vector<std::string> image_aliases();
/// Lxc: where its server is to be contacted. KARAPACE_MIRROR may say "images=http://...".
[[nodiscard]] std::string image_server_url(const ImageReference& image);

}  // namespace karapace::runtime
