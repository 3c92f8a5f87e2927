// SPDX-License-Identifier: Apache-2.0
#include "images.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "karapace/remote/image_server.hpp"
#include "karapace/remote/oci_reference.hpp"
#include "karapace/store/object_store.hpp"

namespace karapace::core {

namespace oci = remote::oci;

namespace {

constexpr std::string_view kManifest = "manifest";
constexpr std::string_view kLayer = "layer";

/// The manifest first, then the layers. `url_of` is called with the role and the digest.
template <typename UrlOf>
BasePin pin_of(const oci::ResolvedImage& image, const UrlOf& url_of) {
  BasePin pin;
  pin.provider = BaseProvider::Oci;
  pin.sha256 = image.manifest_sha256;
  pin.index_sha256 = image.index_sha256;
  const auto add = [&](std::string_view role, const std::string& sha256, std::uint64_t size) {
    pin.files.push_back({std::string(role), url_of(role, sha256), sha256, size});
  };
  add(kManifest, image.manifest_sha256, image.manifest_size);
  for (const oci::Descriptor& layer : image.manifest.layers) add(kLayer, layer.sha256, layer.size);
  return pin;
}

}  // namespace

void check_image_name(const runtime::ImageReference& image) {
  if (!image.reference.empty()) static_cast<void>(oci::parse_reference(image.reference));
}

bool is_pinned_by_name(const runtime::ImageReference& image) {
  if (image.provider == BaseProvider::Tar) return !image.sha256.empty();
  return !image.reference.empty() && !oci::parse_reference(image.reference).sha256.empty();
}

bool is_pinned_by_lock_alone(const runtime::ImageReference& image) {
  return !is_pinned_by_name(image) &&
         (image.provider == BaseProvider::Bootstrap || image.provider == BaseProvider::Tar ||
          image.provider == BaseProvider::Dir ||
          (image.provider == BaseProvider::Oci && image.reference.empty()));
}

std::optional<BaseProvider> provider_if_kept(const BasePin& pin, const store::StoreLayout* layout) {
  if (layout == nullptr || pin.sha256.empty() || !store::PackageStore(*layout).contains(pin.sha256))
    return std::nullopt;
  return pin.provider;
}

Images::Images(const store::StoreLayout& layout, const store::Operation& operation, std::string architecture,
               ProgressSink& progress, CancelToken& cancel)
    : layout_(layout),
      operation_(operation),
      architecture_(std::move(architecture)),
      progress_(progress),
      cancel_(cancel),
      registries_(cancel) {}

BasePin Images::find(const runtime::ImageReference& image) {
  progress_.step("resolve", image.display_name);
  if (image.provider == BaseProvider::Lxc) return find_on_server(image);
  if (image.reference.empty()) {
    return pin_of(local(image).resolve(architecture_),
                  [](std::string_view, const std::string&) { return ""; });
  }
  oci::Registry& source = registries_.registry(image.reference);
  BasePin pin = pin_of(source.resolve(architecture_), [&](std::string_view role, const std::string& sha256) {
    return role == kManifest ? source.manifest_url(sha256) : source.blob_url(sha256);
  });
  pin.distribution = oci::parse_reference(image.reference).str();
  return pin;
}

BasePin Images::find_on_server(const runtime::ImageReference& image) {
  const auto found = remote::find_server_image(registries_.web(), runtime::image_server_url(image),
                                               image.canonical, architecture_);
  BasePin pin;
  pin.provider = BaseProvider::Lxc;
  pin.distribution = image.canonical;
  pin.variant = found.variant;
  pin.version = found.version;
  pin.url = image.url;
  pin.files = {{"rootfs", fmt::format("{}/{}", image.url, found.path), found.sha256, found.size}};
  return pin;
}

void Images::import(const runtime::ImageReference& image, const BasePin& pin) {
  for (const LockedFile& file : pin.files) {
    if (file.url.empty() && !store::PackageStore(layout_).contains(file.sha256)) local(image).import(file);
  }
}

void Images::check(const BasePin& pin, const std::string& image_name) const {
  const auto refuse = [&](std::string_view reason) {
    throw Error(ErrorCode::InvalidInput,
                fmt::format("the lock of image '{}' {}", printable(image_name), reason),
                "restore the lock file, or make a new one: karapace build --update");
  };
  if (pin.provider == BaseProvider::Lxc && (pin.files.size() != 1 || pin.files.front().role != "rootfs"))
    refuse("does not list one root file system");
  if (pin.provider != BaseProvider::Oci) return;
  if (pin.files.empty() || pin.files.front().role != kManifest || pin.files.front().sha256 != pin.sha256)
    refuse("does not list its manifest");
  const auto file = store::PackageStore(layout_).open(pin.sha256);
  if (!file)
    throw Error(ErrorCode::NotFound, fmt::format("the manifest sha256:{} was not downloaded", pin.sha256));
  const auto document = oci::parse_document(read_all(*file, oci::kMaxManifestBytes), {}, image_name);
  const auto* manifest = std::get_if<oci::ImageManifest>(&document);
  if (manifest == nullptr) refuse("names an index where the manifest should be");
  const bool same =
      std::equal(pin.files.begin() + 1, pin.files.end(), manifest->layers.begin(), manifest->layers.end(),
                 [](const LockedFile& locked, const oci::Descriptor& layer) {
                   return locked.role == kLayer && locked.sha256 == layer.sha256 && locked.size == layer.size;
                 });
  if (!same) refuse(fmt::format("lists other layers than its manifest sha256:{} has", pin.sha256));
}

LocalImage& Images::local(const runtime::ImageReference& image) {
  if (!local_) local_ = std::make_unique<LocalImage>(layout_, operation_, image, progress_, cancel_);
  return *local_;
}

}  // namespace karapace::core
