// SPDX-License-Identifier: Apache-2.0
// Any bytes are an index, a manifest or InvalidInput; what is accepted keeps the limits. The same bytes as an
// auth.json, a WWW-Authenticate header and the name of an image.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "karapace/base/digest.hpp"
#include "karapace/base/error.hpp"
#include "karapace/remote/oci_credentials.hpp"
#include "karapace/remote/oci_documents.hpp"
#include "karapace/remote/oci_reference.hpp"
#include "oci/challenge.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using namespace karapace;
using namespace karapace::remote::oci;

template <typename Body>
void refused_or(Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    KARAPACE_ASSERT(error.code() == ErrorCode::InvalidInput);
    for (const char c : std::string_view(error.what()))
      KARAPACE_ASSERT(static_cast<unsigned char>(c) >= 0x20);
  }
}

void check(const Descriptor& descriptor, std::uint64_t limit) {
  KARAPACE_ASSERT(Digest::is_valid(descriptor.sha256));
  KARAPACE_ASSERT(descriptor.size > 0 && descriptor.size <= limit);
}

void try_document(std::string_view text, std::string_view media_type) {
  const Document document = parse_document(text, media_type, "fuzz");
  if (const auto* index = std::get_if<Index>(&document)) {
    KARAPACE_ASSERT(index->manifests.size() <= kMaxIndexEntries);
    for (const Descriptor& entry : index->manifests) check(entry, kMaxManifestBytes);
    check(choose_platform(*index, "amd64", "fuzz"), kMaxManifestBytes);
    return;
  }
  const auto& manifest = std::get<ImageManifest>(document);
  KARAPACE_ASSERT(!manifest.layers.empty() && manifest.layers.size() <= kMaxLayers);
  check(manifest.config, kMaxConfigBytes);
  for (const Descriptor& layer : manifest.layers) check(layer, kMaxLayerBytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  refused_or([&] { try_document(text, ""); });
  refused_or([&] { try_document(text, "application/vnd.oci.image.index.v1+json"); });
  const ImageManifest one_layer{.config = {}, .layers = {Descriptor{}}};
  refused_or([&] { require_platform(parse_config(text, one_layer, "fuzz"), "arm64", "fuzz"); });
  refused_or([&] { static_cast<void>(find_in_auth_file(text, parse_reference("oci:ghcr.io/a/b"), "fuzz")); });
  refused_or([&] {
    const Reference reference = parse_reference("oci:" + text);
    Reference again = parse_reference("oci:" + reference.str());
    again.tag = reference.tag;
    KARAPACE_ASSERT(again == reference);
  });
  for (const Challenge& challenge : parse_challenges(text)) KARAPACE_ASSERT(!challenge.scheme.empty());
  return 0;
}
