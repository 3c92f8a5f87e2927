// SPDX-License-Identifier: Apache-2.0
#include "backend_namespace.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include "bootstrap.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/json.hpp"
#include "karapace/base/text.hpp"
#include "karapace/runtime/worker.hpp"
#include "karapace/store/object_store.hpp"
#include "packages/package_files.hpp"
#include "packages/package_manager.hpp"
#include "seal_layer.hpp"

namespace karapace::runtime {
namespace {

// Changing how a layer is made changes its key, so that old results are not taken for new ones.
constexpr int kBaseRecipe = 1;
constexpr int kDependencyRecipe = 10;
constexpr std::string_view kBaseDomain = "karapace base-layer v1\n";
constexpr std::string_view kDependencyDomain = "karapace dependency-layer v1\n";
constexpr std::string_view kTree = "tree";
constexpr std::string_view kManifest = "manifest";
constexpr std::string_view kLayer = "layer";
constexpr std::string_view kImageServerName = "images";  // in KARAPACE_MIRROR

Digest keyed(std::string_view domain, const Json& inputs) {
  Hasher hasher;
  hasher.update(domain);
  hasher.update(canonical_json(inputs));
  return hasher.finish();
}

Json packages_as_json(const std::vector<LockedPackage>& packages) {
  Json json = Json::array();
  for (const LockedPackage& package : packages) {
    json.push_back({{"name", package.name},
                    {"version", package.version},
                    {"arch", package.arch},
                    {"sha256", package.sha256},
                    {"requested", package.requested}});
  }
  return json;
}

class NamespaceBackend : public Backend {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "namespace"; }

  [[nodiscard]] BaseResolution resolve_base(BuildContext& context) override {
    const ImageReference image = parse_image(context.manifest.base_image, context.manifest_directory);
    switch (image.provider) {
      case BaseProvider::Bootstrap:
        return resolve_bootstrap(context, image);
      case BaseProvider::Tar:
        return resolve_tar(context, image);
      case BaseProvider::Dir:
        return resolve_directory(context, image);
      case BaseProvider::Oci:
      case BaseProvider::Lxc:
        if (context.images == nullptr) break;
        return {.pin = context.images->find(image), .repositories = {}};
      case BaseProvider::Mock:
        break;
    }
    throw unsupported(image.provider);
  }

  [[nodiscard]] std::vector<Artefact> base_artefacts(const BasePin& pin,
                                                     const std::vector<Repository>& repositories) override {
    if (pin.provider == BaseProvider::Tar && !pin.url.empty()) {
      return {{pin.url.substr(pin.url.rfind('/') + 1), pin.url, pin.sha256, pin.size}};
    }
    if (!pin.files.empty()) return files_of(pin);
    return artefacts_of(pin.packages, repositories, Mirrors::from_environment());
  }

  [[nodiscard]] Digest base_key(const BasePin& pin, const std::string& arch, Ownership ownership) override {
    if (!pin.files.empty()) {
      // Files alone decide: the same image from another registry is the same layer.
      Json files = Json::array();
      for (const LockedFile& file : pin.files) {
        if (file.role != kManifest) files.push_back({{"role", file.role}, {"sha256", file.sha256}});
      }
      return keyed(kBaseDomain, {{"recipe", kBaseRecipe},
                                 {"provider", to_string(pin.provider)},
                                 {"files", std::move(files)},
                                 {"ownership", to_string(ownership)}});
    }
    return keyed(kBaseDomain, {{"recipe", kBaseRecipe},
                               {"provider", to_string(pin.provider)},
                               {"distribution", pin.distribution},
                               {"variant", pin.variant},
                               {"sha256", pin.sha256},
                               {"packages", packages_as_json(pin.packages)},
                               {"arch", arch},
                               {"ownership", to_string(ownership)}});
  }

  [[nodiscard]] Digest build_base(BuildContext& context, const BasePin& pin,
                                  const std::vector<Repository>& /*repositories*/) override {
    // A local image that fetch copied, or that came in a bundle, need not be there any more.
    const bool is_kept = !pin.sha256.empty() && store::PackageStore(context.store).contains(pin.sha256);
    const ImageReference image = parse_image(context.manifest.base_image, context.manifest_directory,
                                             is_kept ? std::optional(pin.provider) : std::nullopt);
    if (image.provider != pin.provider) {
      throw Error(
          ErrorCode::InvalidInput,
          fmt::format("the lock pins a base of kind '{}', and the image '{}' is of kind '{}'",
                      to_string(pin.provider), context.manifest.base_image, to_string(image.provider)),
          "run 'karapace build --update'");
    }
    switch (pin.provider) {
      case BaseProvider::Bootstrap:
        return build_bootstrap(context, image, pin);
      case BaseProvider::Tar:
        return build_tar(context, image, pin);
      case BaseProvider::Dir:
        return build_directory(context, image, pin);
      case BaseProvider::Oci:
      case BaseProvider::Lxc:
        return build_files(context, image, pin);
      case BaseProvider::Mock:
        break;
    }
    throw unsupported(pin.provider);
  }

  [[nodiscard]] PackageResolution resolve_packages(BuildContext& context, const Digest& base_layer,
                                                   const std::vector<std::string>& names,
                                                   const std::vector<LockedPackage>& locked,
                                                   const std::vector<Repository>& repositories) override {
    const ImageReference image =
        parse_image(context.manifest.base_image, context.manifest_directory, BaseProvider::Tar);
    context.progress.step("resolve", counted(names.size(), "package"));
    return find_package_manager(context, base_layer, image)
        ->resolve(context, {.image = image,
                            .base_layer = base_layer,
                            .names = names,
                            .locked = locked,
                            .repositories = repositories});
  }

  [[nodiscard]] std::vector<Artefact> package_artefacts(
      const std::vector<LockedPackage>& packages, const std::vector<Repository>& repositories) override {
    return artefacts_of(packages, repositories, Mirrors::from_environment());
  }

  [[nodiscard]] Digest dependency_key(const Digest& base_layer, const std::vector<LockedPackage>& packages,
                                      Ownership ownership) override {
    return keyed(kDependencyDomain, {{"recipe", kDependencyRecipe},
                                     {"base", base_layer.hex()},
                                     {"packages", packages_as_json(packages)},
                                     {"ownership", to_string(ownership)}});
  }

  [[nodiscard]] Digest build_dependencies(BuildContext& context, const Digest& base_layer,
                                          const std::vector<LockedPackage>& packages) override {
    const ImageReference image = parse_image(context.manifest.base_image, context.manifest_directory);
    return find_package_manager(context, base_layer, image)->install(context, base_layer, packages);
  }

  [[nodiscard]] PreparedSession prepare(const store::StoreLayout& store,
                                        const SessionRequest& request) override {
    return prepare_session(store, request);
  }

 private:
  static Error unsupported(BaseProvider provider) {
    return {ErrorCode::Unsupported,
            fmt::format("this version cannot build a base of kind '{}'", to_string(provider))};
  }

  static std::vector<Artefact> files_of(const BasePin& pin) {
    std::vector<Artefact> artefacts;
    const auto mirrors = Mirrors::from_environment();
    const std::string server = pin.provider == BaseProvider::Lxc ? pin.url : std::string();
    std::size_t layers = 0;
    for (const LockedFile& file : pin.files) {
      if (file.role == kLayer) ++layers;
      if (file.url.empty()) continue;
      std::string label = fmt::format("{} {}", pin.distribution, file.role);
      if (file.role == kLayer) label += fmt::format(" {} (sha256:{})", layers, file.sha256.substr(0, 12));
      std::string url = file.url;
      if (!server.empty() && url.starts_with(server + "/"))
        url = mirrors.url_for(kImageServerName, server) + url.substr(server.size());
      artefacts.push_back({std::move(label), std::move(url), file.sha256, file.size, file.role});
    }
    return artefacts;
  }

  /// The layers of an image in their order, or one root file system.
  static Digest build_files(BuildContext& context, const ImageReference& image, const BasePin& pin) {
    context.progress.step("unpack", image.display_name);
    TreeWorker worker(context.store, context.manifest.ownership);
    const std::string staging = context.operation.staging_path();
    const store::PackageStore packages(context.store);
    for (const LockedFile& file : pin.files) {
      if (file.role == kManifest) continue;
      const auto opened = packages.open(file.sha256);
      const std::string name = fmt::format("{}: {} sha256:{}", image.display_name, file.role, file.sha256);
      if (!opened) throw Error(ErrorCode::NotFound, fmt::format("{} was not downloaded", name));
      with_context([&] { return std::string(name); },
                   [&] {
                     if (file.role == kLayer) {
                       worker.unpack_layer(*opened, staging, std::string(kTree), context.progress,
                                           context.cancel, file.sha256);
                     } else {
                       worker.unpack(*opened, staging, std::string(kTree), context.progress, context.cancel,
                                     file.sha256);
                     }
                   });
    }
    return seal_tree(context);
  }

  static BaseResolution resolve_tar(BuildContext& context, const ImageReference& image) {
    BaseResolution resolution;
    resolution.pin.provider = BaseProvider::Tar;
    if (!image.url.empty()) {
      resolution.pin.url = image.url;
      resolution.pin.sha256 = image.sha256;
      return resolution;
    }
    context.progress.step("resolve", image.display_name);
    const UniqueFd file = open_path(image.path, O_RDONLY);
    resolution.pin.sha256 =
        TreeWorker(context.store, context.manifest.ownership).sha256(file, context.cancel);
    resolution.pin.size = static_cast<std::uint64_t>(stat_fd(file).st_size);
    return resolution;
  }

  // The directory may change at any time, so it is copied first and the copy is what gets its name and is
  // built.
  static BaseResolution resolve_directory(BuildContext& context, const ImageReference& image) {
    BaseResolution resolution;
    resolution.pin.provider = BaseProvider::Dir;
    resolution.pin.sha256 = copied_directory(context, image).hex();
    return resolution;
  }

  static Digest copied_directory(BuildContext& context, const ImageReference& image) {
    context.progress.step("unpack", image.display_name);
    TreeWorker worker(context.store, context.manifest.ownership);
    const std::string staging = context.operation.staging_path();
    if (!exists_at(context.operation.staging(), std::string(kTree))) {
      worker.copy_tree(image.path, staging, std::string(kTree), context.progress, context.cancel);
    }
    return worker.tree_digest(staging, std::string(kTree), context.cancel);
  }

  static Digest build_directory(BuildContext& context, const ImageReference& image, const BasePin& pin) {
    const Digest found = copied_directory(context, image);
    if (found.hex() != pin.sha256) {
      throw Error(ErrorCode::InvalidInput,
                  fmt::format("the directory {} is not what the lock says: {} expected, {} found", image.path,
                              pin.sha256, found.hex()),
                  "if the new content is wanted, run 'karapace build --update'");
    }
    return seal_tree(context);
  }

  static Digest build_tar(BuildContext& context, const ImageReference& image, const BasePin& pin) {
    context.progress.step("unpack", image.display_name);
    TreeWorker worker(context.store, context.manifest.ownership);
    const UniqueFd archive = open_archive(context, image, pin);
    with_context([&] { return image.display_name; },
                 [&] {
                   worker.unpack(archive, context.operation.staging_path(), std::string(kTree),
                                 context.progress, context.cancel, pin.sha256);
                 });
    return seal_tree(context);
  }

  static UniqueFd open_archive(const BuildContext& context, const ImageReference& image, const BasePin& pin) {
    auto downloaded = store::PackageStore(context.store).open(pin.sha256);
    if (!downloaded && image.url.empty()) return open_path(image.path, O_RDONLY);
    if (!downloaded) throw Error(ErrorCode::NotFound, fmt::format("{} was not downloaded", image.url));
    return std::move(*downloaded);
  }

  static Digest seal_tree(BuildContext& context) {
    return seal_layer(context, {.staging_path = context.operation.staging_path(),
                                .name = std::string(kTree),
                                .lowers = {},
                                .normalise = Normalise::None,
                                .kind = store::LayerKind::Base,
                                .files = {}});
  }
};

}  // namespace

std::unique_ptr<Backend> make_namespace_backend() { return std::make_unique<NamespaceBackend>(); }

std::unique_ptr<Backend> make_backend(std::string_view name) {
  if (name == "namespace") return make_namespace_backend();
  if (name == "mock") return make_mock_backend();
  if (name == "oci") {
    throw Error(ErrorCode::Unsupported, "this version has no oci backend",
                "use runtime.backend = \"namespace\"");
  }
  throw Error(ErrorCode::InvalidInput, fmt::format("unknown backend '{}'", printable(name)),
              "the backends are namespace and mock");
}

}  // namespace karapace::runtime
