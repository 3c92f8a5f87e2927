// SPDX-License-Identifier: Apache-2.0
// What the engine asks of a backend. Steps without network and steps with it are apart, so that the engine
// can fetch in between.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "karapace/base/cancel.hpp"
#include "karapace/base/progress.hpp"
#include "karapace/runtime/image.hpp"
#include "karapace/runtime/session.hpp"
#include "karapace/schema/lock_file.hpp"
#include "karapace/store/layout.hpp"
#include "karapace/store/wal.hpp"

namespace karapace::runtime {

/// A file to be in store/packages before the next step.
struct Artefact {
  std::string label;  // "git 1:2.39.5-0+deb12u2", for messages and progress
  std::string url;
  std::string sha256;
  std::uint64_t size = 0;  // 0: unknown
  std::string role{};      // of a base's file: "manifest", "layer", "rootfs"
};

/// Finds images that somebody else keeps. The engine brings it along: this module opens no sockets.
class ImageFinder {
 public:
  virtual ~ImageFinder() = default;
  /// What an image of provider Oci or Lxc is now. Throws InvalidInput that names it.
  [[nodiscard]] virtual BasePin find(const ImageReference& image) = 0;
};

struct BuildContext {
  const store::StoreLayout& store;
  const store::Operation& operation;  // its staging directory is ours
  const Manifest& manifest;
  std::string manifest_directory;
  ProgressSink& progress;
  CancelToken& cancel;
  ImageFinder* images = nullptr;  // null: there are none but those on this machine
  /// Set: layers are built to be looked at. They are not published, and where the index of the newest one
  /// lies is put here, relative to the store's root, in the staging directory.
  std::string* index_only = nullptr;
  /// Brings files into store/packages, for what must be looked at before it is locked. The engine's, too.
  std::function<void(const std::vector<Artefact>&)> fetch{};
  /// Moves files of ours, which are named by their sha256, into store/packages. The engine's as well.
  std::function<void(FdRef directory, const std::vector<std::string>& sha256s)> adopt{};
};

struct BaseResolution {
  BasePin pin;
  std::vector<Repository> repositories;
};
struct PackageResolution {
  std::vector<LockedPackage> packages;  // the closure above the base, sorted
  std::vector<Repository> repositories;
};

class Backend {
 public:
  virtual ~Backend() = default;
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;

  /// Finds out what the base is now (network unless the image is local). Throws InvalidInput for an unknown
  /// image.
  [[nodiscard]] virtual BaseResolution resolve_base(BuildContext& context) = 0;
  /// What must be fetched to build that base. Empty for a local directory; files of a local image are left
  /// out.
  [[nodiscard]] virtual std::vector<Artefact> base_artefacts(const BasePin& pin,
                                                             const std::vector<Repository>& repositories) = 0;
  /// Key for store/builds: everything that decides the layer's bytes.
  [[nodiscard]] virtual Digest base_key(const BasePin& pin, const std::string& arch, Ownership ownership) = 0;
  /// Builds, seals and publishes the base layer. No network.
  [[nodiscard]] virtual Digest build_base(BuildContext& context, const BasePin& pin,
                                          const std::vector<Repository>& repositories) = 0;

  /// Closure of `names` above the base layer. Versions in `locked` are kept where that is possible (their
  /// artefacts are in the store). An unknown name is InvalidInput naming all unknown ones. Network.
  [[nodiscard]] virtual PackageResolution resolve_packages(BuildContext& context, const Digest& base_layer,
                                                           const std::vector<std::string>& names,
                                                           const std::vector<LockedPackage>& locked,
                                                           const std::vector<Repository>& repositories) = 0;
  [[nodiscard]] virtual std::vector<Artefact> package_artefacts(
      const std::vector<LockedPackage>& packages, const std::vector<Repository>& repositories) = 0;
  [[nodiscard]] virtual Digest dependency_key(const Digest& base_layer,
                                              const std::vector<LockedPackage>& packages,
                                              Ownership ownership) = 0;
  /// Installs exactly these in a fresh overlay without network, normalises, seals, publishes.
  [[nodiscard]] virtual Digest build_dependencies(BuildContext& context, const Digest& base_layer,
                                                  const std::vector<LockedPackage>& packages) = 0;

  [[nodiscard]] virtual PreparedSession prepare(const store::StoreLayout& store,
                                                const SessionRequest& request) = 0;
};

/// "namespace", "mock"; "oci" and anything else is Unsupported or InvalidInput with the valid names.
[[nodiscard]] std::unique_ptr<Backend> make_backend(std::string_view name);

}  // namespace karapace::runtime
