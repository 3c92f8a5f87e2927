// SPDX-License-Identifier: Apache-2.0
// Names of images in registries.
#pragma once

#include <string>
#include <string_view>

namespace karapace::remote::oci {

struct Reference {
  std::string host;        // as written, lower case: "docker.io", "127.0.0.1:5000"
  std::string repository;  // "library/debian"
  std::string tag;         // empty only if there is a digest
  std::string sha256;      // 64 hex digits if it names its digest, else empty
  bool plain_http = false;

  /// "docker.io/library/debian"
  [[nodiscard]] std::string name() const { return host + "/" + repository; }
  /// "docker.io/library/debian:12", "docker.io/library/debian@sha256:..."
  [[nodiscard]] std::string str() const;
  /// Where its manifests and blobs are: "https://registry-1.docker.io/v2/library/debian"
  [[nodiscard]] std::string api_url() const;
  /// What a manifest is asked for by: the digest if there is one, else the tag.
  [[nodiscard]] std::string target() const;
  bool operator==(const Reference&) const = default;
};

/// "oci:HOST[:PORT]/REPOSITORY[:TAG][@sha256:DIGEST]", also with "//" behind the colon and with "docker:".
/// Without a host it is Docker Hub's, as docker and podman have it. Without tag and digest the tag is
/// "latest". HTTPS, but for a host on loopback; "oci+http:" and "oci+https:" say it in so many words. Throws
/// InvalidInput that quotes it.
[[nodiscard]] Reference parse_reference(std::string_view text);
/// "localhost", "127.0.0.1:5000", "[::1]:5000": what never leaves this machine.
[[nodiscard]] bool is_loopback_host(std::string_view host) noexcept;
/// True if the text begins like one.
[[nodiscard]] bool looks_like_reference(std::string_view text) noexcept;

}  // namespace karapace::remote::oci
