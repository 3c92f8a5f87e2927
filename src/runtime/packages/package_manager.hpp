// SPDX-License-Identifier: Apache-2.0
// The seam between the engine's steps and a distribution's package manager. An adapter says how to resolve
// and how to install; what is the same for all of them is done here.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "karapace/runtime/backend.hpp"
#include "packages/base_system.hpp"

namespace karapace::runtime {

struct ResolveRequest {
  const ImageReference& image;
  Digest base_layer;
  const std::vector<std::string>& names;
  const std::vector<LockedPackage>& locked;     // versions to be kept where that is possible
  const std::vector<Repository>& repositories;  // of the lock
};

/// The package files in the operation's staging directory while they are installed.
inline constexpr std::string_view kStagedPackages = "packages";

/// A package as the manager's own database has it.
struct InstalledPackage {
  std::string name;
  std::string version;
  std::string arch{};  // empty: the database was not asked
  bool operator==(const InstalledPackage&) const = default;
};

/// Those of `packages` that the database does not have as the lock says, for people.
[[nodiscard]] std::vector<std::string> not_installed(const std::vector<LockedPackage>& packages,
                                                     const std::vector<InstalledPackage>& installed);

/// A program of the installation: the package files are in kInsidePackages.
[[nodiscard]] BaseSystem::Program installing(BaseSystem& system, std::vector<std::string> argv);

class PackageManager {
 public:
  virtual ~PackageManager() = default;
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;

  /// See Backend::resolve_packages. By programs of the base, in an overlay that is thrown away, with network,
  /// from the base's own repositories, with their signatures checked as the base wants them checked.
  [[nodiscard]] virtual PackageResolution resolve(BuildContext& context, const ResolveRequest& request) = 0;

  /// See Backend::build_dependencies. Afterwards the manager's database has what the lock says, or it fails.
  [[nodiscard]] Digest install(BuildContext& context, const Digest& base_layer,
                               const std::vector<LockedPackage>& packages);

 protected:
  /// ".deb"
  [[nodiscard]] virtual std::string_view file_suffix() const noexcept = 0;
  /// Put into the overlay for the installation only, beside names of the machine; the normaliser takes them
  /// out.
  [[nodiscard]] virtual std::vector<TreeWorker::PlacedFile> files_for_installing() const { return {}; }
  /// Installs the files in kInsidePackages, which `installing` mounts, without network. `paths` are theirs,
  /// sorted.
  virtual void install_files(BaseSystem& system, const std::vector<LockedPackage>& packages,
                             const std::vector<std::string>& paths) = 0;
  [[nodiscard]] virtual std::vector<InstalledPackage> installed(BaseSystem& system) = 0;
  /// The last steps before the layer is sealed. Returns files of it that no installation writes: see
  /// SealRequest::files.
  [[nodiscard]] virtual std::vector<std::pair<std::string, std::string>> finish(
      BaseSystem& system, const std::vector<LockedPackage>& packages) = 0;

 private:
  void check_installed(BaseSystem& system, const std::vector<LockedPackage>& packages);
};

/// "did you mean 'git'?" for names that no repository has, or nothing.
[[nodiscard]] std::string did_you_mean(const std::vector<std::string>& unknown,
                                       const std::vector<std::string>& known);

/// The one that the base has, looked for in the order of apt, dnf, zypper, pacman. Throws InvalidInput that
/// names the image if there is none.
[[nodiscard]] std::unique_ptr<PackageManager> find_package_manager(BuildContext& context,
                                                                   const Digest& base_layer,
                                                                   const ImageReference& image);

}  // namespace karapace::runtime
