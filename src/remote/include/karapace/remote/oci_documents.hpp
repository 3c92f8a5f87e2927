// SPDX-License-Identifier: Apache-2.0
// The JSON documents of OCI images and of their Docker ancestors, as far as a file system needs them. Whoever
// wrote them is not trusted: sizes and counts are bounded, and what could be read in two ways is refused.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace karapace::remote::oci {

inline constexpr std::size_t kMaxManifestBytes = std::size_t{4} * 1024 * 1024;
inline constexpr std::size_t kMaxConfigBytes = std::size_t{8} * 1024 * 1024;
inline constexpr std::size_t kMaxIndexEntries = 2048;
inline constexpr std::size_t kMaxLayers = 500;
inline constexpr std::uint64_t kMaxLayerBytes = std::uint64_t{64} * 1024 * 1024 * 1024;

/// Every kind of manifest and index that parse_document takes: the Accept header.
inline constexpr const char* kAcceptedDocuments =
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.docker.distribution.manifest.v2+json";

struct Platform {
  std::string os;
  std::string architecture;
  std::string variant;
  bool operator==(const Platform&) const = default;
};

struct Descriptor {
  std::string media_type;
  std::string sha256;  // 64 hex digits
  std::uint64_t size = 0;
  std::optional<Platform> platform;  // in an index
  std::string ref_name;              // annotation org.opencontainers.image.ref.name, in the index of a layout
  bool operator==(const Descriptor&) const = default;
};

struct Index {
  std::vector<Descriptor> manifests;
};
struct ImageManifest {
  Descriptor config;
  std::vector<Descriptor> layers;  // bottom first
};
using Document = std::variant<Index, ImageManifest>;

/// `media_type` is what the server, or the descriptor that led here, says it is; may be empty. All functions
/// throw InvalidInput with `what` in front.
[[nodiscard]] Document parse_document(std::string_view bytes, std::string_view media_type,
                                      std::string_view what);

/// What an image says about itself. Checked against its manifest.
[[nodiscard]] Platform parse_config(std::string_view bytes, const ImageManifest& manifest,
                                    std::string_view what);

/// The manifest for Linux on `architecture` ("amd64", "arm64"). Of several variants the lowest, which runs on
/// every machine: what is chosen must not depend on the processor of whoever makes the lock. A single
/// manifest without platform is taken; its config tells.
[[nodiscard]] const Descriptor& choose_platform(const Index& index, std::string_view architecture,
                                                std::string_view what);
/// Throws unless `platform` is Linux on `architecture`.
void require_platform(const Platform& platform, std::string_view architecture, std::string_view what);

}  // namespace karapace::remote::oci
