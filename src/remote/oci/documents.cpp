// SPDX-License-Identifier: Apache-2.0
#include "karapace/remote/oci_documents.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "karapace/base/digest.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/json.hpp"

namespace karapace::remote::oci {

namespace {

constexpr std::size_t kMaxDepth = 32;
constexpr std::size_t kMaxText = 1024;

constexpr std::array kIndexTypes = {
    std::string_view("application/vnd.oci.image.index.v1+json"),
    std::string_view("application/vnd.docker.distribution.manifest.list.v2+json")};
constexpr std::array kManifestTypes = {
    std::string_view("application/vnd.oci.image.manifest.v1+json"),
    std::string_view("application/vnd.docker.distribution.manifest.v2+json")};
constexpr std::array kConfigTypes = {std::string_view("application/vnd.oci.image.config.v1+json"),
                                     std::string_view("application/vnd.docker.container.image.v1+json")};
// How a layer is packed is seen from its first bytes; what it is must be one of these.
constexpr std::array kLayerTypes = {
    std::string_view("application/vnd.oci.image.layer.v1.tar"),
    std::string_view("application/vnd.oci.image.layer.v1.tar+gzip"),
    std::string_view("application/vnd.oci.image.layer.v1.tar+zstd"),
    std::string_view("application/vnd.oci.image.layer.nondistributable.v1.tar"),
    std::string_view("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"),
    std::string_view("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"),
    std::string_view("application/vnd.docker.image.rootfs.diff.tar"),
    std::string_view("application/vnd.docker.image.rootfs.diff.tar.gzip"),
    std::string_view("application/vnd.docker.image.rootfs.diff.tar.zstd")};

template <std::size_t N>
bool is_one_of(std::string_view text, const std::array<std::string_view, N>& types) {
  return std::ranges::find(types, text) != types.end();
}

/// Reads fields of one document; every complaint begins with what it is.
class Reader {
 public:
  explicit Reader(std::string_view what) : what_(what) {}

  [[noreturn]] void refuse(std::string_view reason) const {
    throw Error(ErrorCode::InvalidInput, fmt::format("{}: {}", printable(what_, 400), reason));
  }

  [[nodiscard]] Json parse(std::string_view bytes, std::size_t limit) const {
    Json json;
    try {
      json = parse_json(bytes, "the document", {.max_bytes = limit, .max_depth = kMaxDepth});
    } catch (const Error& error) {
      refuse(error.message());
    }
    if (!json.is_object()) refuse("not a JSON object");
    return json;
  }

  [[nodiscard]] std::string text(const Json& object, const char* key) const {
    const auto found = object.find(key);
    if (found == object.end() || found->is_null()) return {};
    if (!found->is_string()) refuse(fmt::format("\"{}\" is not a string", key));
    auto value = found->get<std::string>();
    if (value.size() > kMaxText) refuse(fmt::format("\"{}\" is too long", key));
    return value;
  }

  [[nodiscard]] const Json& array(const Json& object, const char* key, std::size_t limit) const {
    const auto found = object.find(key);
    if (found == object.end() || !found->is_array()) refuse(fmt::format("\"{}\" is not a list", key));
    if (found->size() > limit) refuse(fmt::format("\"{}\" has more than {} entries", key, limit));
    return *found;
  }

  [[nodiscard]] std::string sha256(const Json& object) const {
    constexpr std::string_view kPrefix = "sha256:";
    const std::string digest = text(object, "digest");
    const std::string_view hex = std::string_view(digest).substr(std::min(kPrefix.size(), digest.size()));
    if (!digest.starts_with(kPrefix) || !Digest::is_valid(hex))
      refuse(fmt::format("'{}' is not a sha256 digest", printable(digest)));
    return std::string(hex);
  }

  [[nodiscard]] Descriptor descriptor(const Json& object, std::uint64_t limit) const {
    if (!object.is_object()) refuse("a descriptor is not an object");
    Descriptor result;
    result.media_type = text(object, "mediaType");
    result.sha256 = sha256(object);
    const auto size = object.find("size");
    // Zero would mean "not known" to those who fetch, and nothing that is wanted here is empty.
    if (size == object.end() || !size->is_number_unsigned() || size->get<std::uint64_t>() == 0)
      refuse(fmt::format("sha256:{} has no size", result.sha256));
    result.size = size->get<std::uint64_t>();
    if (result.size > limit)
      refuse(fmt::format("sha256:{} has {} bytes, more than {}", result.sha256, result.size, limit));
    return result;
  }

  [[nodiscard]] Platform platform(const Json& object) const {
    if (!object.is_object()) refuse("\"platform\" is not an object");
    return {.os = text(object, "os"),
            .architecture = text(object, "architecture"),
            .variant = text(object, "variant")};
  }

  [[nodiscard]] Index index(const Json& json) const {
    Index result;
    for (const Json& entry : array(json, "manifests", kMaxIndexEntries)) {
      Descriptor& added = result.manifests.emplace_back(descriptor(entry, kMaxManifestBytes));
      if (const auto found = entry.find("platform"); found != entry.end() && !found->is_null())
        added.platform = platform(*found);
      if (const auto notes = entry.find("annotations"); notes != entry.end() && notes->is_object())
        added.ref_name = text(*notes, "org.opencontainers.image.ref.name");
    }
    return result;
  }

  [[nodiscard]] ImageManifest manifest(const Json& json) const {
    ImageManifest result;
    const auto config = json.find("config");
    if (config == json.end()) refuse("it has no \"config\"");
    result.config = descriptor(*config, kMaxConfigBytes);
    if (!is_one_of(result.config.media_type, kConfigTypes))
      refuse(fmt::format("it is no image: its configuration is a '{}'", printable(result.config.media_type)));
    for (const Json& entry : array(json, "layers", kMaxLayers)) {
      Descriptor layer = descriptor(entry, kMaxLayerBytes);
      if (layer.media_type.ends_with("+encrypted"))
        refuse(fmt::format("its layer sha256:{} is encrypted, which this version cannot read", layer.sha256));
      if (!is_one_of(layer.media_type, kLayerTypes))
        refuse(fmt::format("its layer sha256:{} is a '{}', which is no file system", layer.sha256,
                           printable(layer.media_type)));
      result.layers.push_back(std::move(layer));
    }
    if (result.layers.empty()) refuse("it has no layers");
    return result;
  }

 private:
  std::string_view what_;
};

/// The version of the instruction set; the first one has no name in most images.
unsigned variant_number(std::string_view architecture, std::string_view variant) {
  const unsigned lowest = architecture == "arm64" ? 8 : 1;
  if (variant.empty()) return lowest;
  unsigned number = 0;
  for (const char c : variant.substr(1)) {
    if (c < '0' || c > '9' || number > 1000) return std::numeric_limits<unsigned>::max();
    number = number * 10 + static_cast<unsigned>(c - '0');
  }
  return variant.front() == 'v' && number >= lowest ? number : std::numeric_limits<unsigned>::max();
}

std::string shown(const Platform& platform) {
  return printable(fmt::format("{}/{}{}{}", platform.os, platform.architecture,
                               platform.variant.empty() ? "" : "/", platform.variant));
}

}  // namespace

Document parse_document(std::string_view bytes, std::string_view media_type, std::string_view what) {
  const Reader reader(what);
  const Json json = reader.parse(bytes, kMaxManifestBytes);
  const auto version = json.find("schemaVersion");
  if (version != json.end() && *version == 1)
    reader.refuse(
        "it is in the format of 2014 (Docker schema 1), which is no longer read: push the image anew");
  if (version == json.end() || *version != 2) reader.refuse("its schemaVersion is not 2");
  const std::string own_type = reader.text(json, "mediaType");
  std::string_view type = own_type;
  // Some servers say text/plain or application/json; that is no claim.
  const bool claimed = is_one_of(media_type, kIndexTypes) || is_one_of(media_type, kManifestTypes);
  if (type.empty() && claimed) type = media_type;
  if (claimed && type != media_type)
    reader.refuse(fmt::format("it is called '{}' and calls itself '{}'", media_type, printable(type)));
  // One document must not be an index to one reader and an image to another (CVE-2021-41190).
  const bool has_manifests = json.contains("manifests");
  const bool has_layers = json.contains("layers") || json.contains("config");
  if (has_manifests && has_layers) reader.refuse("it has both \"manifests\" and \"layers\"");
  if (is_one_of(type, kIndexTypes) || (type.empty() && has_manifests)) return reader.index(json);
  if (is_one_of(type, kManifestTypes) || (type.empty() && has_layers)) return reader.manifest(json);
  reader.refuse(fmt::format("it is a '{}', and no image", printable(type)));
}

Platform parse_config(std::string_view bytes, const ImageManifest& manifest, std::string_view what) {
  const Reader reader(what);
  const Json json = reader.parse(bytes, kMaxConfigBytes);
  const auto rootfs = json.find("rootfs");
  if (rootfs == json.end() || !rootfs->is_object()) reader.refuse("its configuration has no \"rootfs\"");
  const Json& diff_ids = reader.array(*rootfs, "diff_ids", kMaxLayers);
  if (diff_ids.size() != manifest.layers.size()) {
    reader.refuse(fmt::format("its manifest has {} layers and its configuration {}", manifest.layers.size(),
                              diff_ids.size()));
  }
  return reader.platform(json);
}

void require_platform(const Platform& platform, std::string_view architecture, std::string_view what) {
  if (platform.os == "linux" && platform.architecture == architecture &&
      variant_number(architecture, platform.variant) != std::numeric_limits<unsigned>::max())
    return;
  Reader(what).refuse(fmt::format("it is for {}, this machine is linux/{}", shown(platform), architecture));
}

const Descriptor& choose_platform(const Index& index, std::string_view architecture, std::string_view what) {
  const Descriptor* best = nullptr;
  unsigned best_number = std::numeric_limits<unsigned>::max();
  std::vector<std::string> others;
  for (const Descriptor& entry : index.manifests) {
    if (!entry.platform) continue;
    if (entry.platform->os != "linux" || entry.platform->architecture != architecture) {
      if (entry.platform->os != "unknown" && others.size() < 20) others.push_back(shown(*entry.platform));
      continue;
    }
    const unsigned number = variant_number(architecture, entry.platform->variant);
    if (number < best_number) {
      best = &entry;
      best_number = number;
    }
  }
  if (best != nullptr) return *best;
  if (index.manifests.size() == 1 && !index.manifests.front().platform) return index.manifests.front();
  const Reader reader(what);
  if (others.empty()) reader.refuse(fmt::format("it has no image for linux/{}", architecture));
  reader.refuse(
      fmt::format("it has no image for linux/{}, only for {}", architecture, fmt::join(others, ", ")));
}

}  // namespace karapace::remote::oci
