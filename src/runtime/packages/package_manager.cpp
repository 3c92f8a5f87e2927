// SPDX-License-Identifier: Apache-2.0
#include "packages/package_manager.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <tuple>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "packages/apt.hpp"
#include "packages/dnf.hpp"
#include "packages/package_files.hpp"
#include "packages/pacman.hpp"
#include "packages/zypper.hpp"

namespace karapace::runtime {
namespace {

struct Known {
  const char* program;
  std::unique_ptr<PackageManager> (*make)();
};

constexpr std::array kKnown = {
    Known{"/usr/bin/apt-get", apt::make_manager},   Known{"/usr/bin/dnf", dnf::make_manager},
    Known{"/usr/bin/dnf5", dnf::make_manager},      Known{"/usr/bin/zypper", zypper::make_manager},
    Known{"/usr/bin/pacman", pacman::make_manager},
};

}  // namespace

Digest PackageManager::install(BuildContext& context, const Digest& base_layer,
                               const std::vector<LockedPackage>& packages) {
  BaseSystem system(context, base_layer, "install");
  link_packages(context, packages, std::string(kStagedPackages), file_suffix());
  // Names that services and scripts look up.
  std::vector<TreeWorker::PlacedFile> files = {
      {"etc/hostname", "karapace\n", 0644},
      {"etc/hosts", "127.0.0.1\tlocalhost\n127.0.1.1\tkarapace\n::1\tlocalhost\n", 0644}};
  std::ranges::copy(files_for_installing(), std::back_inserter(files));
  system.prepare(files);
  std::vector<std::string> paths;
  for (const LockedPackage& package : packages)
    paths.push_back(fmt::format("{}/{}", kInsidePackages, file_name_of(package, file_suffix())));
  std::ranges::sort(paths);
  install_files(system, packages, paths);
  check_installed(system, packages);
  return system.seal(finish(system, packages));
}

void PackageManager::check_installed(BaseSystem& system, const std::vector<LockedPackage>& packages) {
  const std::vector<InstalledPackage> listed = installed(system);
  const std::vector<std::string> missing = not_installed(packages, listed);
  if (missing.empty()) return;
  throw Error(ErrorCode::InvalidInput,
              fmt::format("{} installed the files that the lock or the index of the repository names, and {} "
                          "{} not there: the files hold other packages, versions or architectures",
                          name(), fmt::join(missing, ", "), missing.size() == 1 ? "is" : "are"),
              "if somebody changed the lock, take it as karapace wrote it; if not, the index is wrong: "
              "resolve again with karapace build --update, from another mirror, or tell the owner of the "
              "repository");
}

std::vector<std::string> not_installed(const std::vector<LockedPackage>& packages,
                                       const std::vector<InstalledPackage>& installed) {
  using Key = std::tuple<std::string_view, std::string_view, std::string_view>;
  std::set<Key> found;
  for (const InstalledPackage& package : installed)
    found.emplace(package.name, package.version, package.arch);
  std::vector<std::string> missing;
  for (const LockedPackage& package : packages) {
    if (!found.contains({package.name, package.version, package.arch}) &&
        !found.contains({package.name, package.version, ""}))
      missing.push_back(fmt::format("{} ({})", label_of(package), package.arch));
  }
  return missing;
}

BaseSystem::Program installing(BaseSystem& system, std::vector<std::string> argv) {
  return {.argv = std::move(argv), .mounts = {system.staged(kStagedPackages, kInsidePackages, true)}};
}

std::string did_you_mean(const std::vector<std::string>& unknown, const std::vector<std::string>& known) {
  // Distributions have tens of thousands of names; most people get the first letter right.
  std::map<char, std::vector<std::string_view>> by_letter;
  for (const std::string& name : known) {
    if (!name.empty()) by_letter[name.front()].emplace_back(name);
  }
  std::vector<std::string> nearest;
  for (const std::string& name : unknown) {
    std::string candidate = nearest_name(name, by_letter[name.front()]);
    if (!candidate.empty()) nearest.push_back(fmt::format("'{}'", candidate));
  }
  return nearest.empty() ? std::string() : fmt::format("did you mean {}?", fmt::join(nearest, ", "));
}

std::unique_ptr<PackageManager> find_package_manager(BuildContext& context, const Digest& base_layer,
                                                     const ImageReference& image) {
  TreeWorker(context.store, context.manifest.ownership)
      .ensure_tree(base_layer, context.progress, context.cancel);
  const UniqueFd tree = context.store.open_dir("trees/" + base_layer.hex());
  for (const Known& known : kKnown) {
    if (try_open_in_root(tree, known.program, O_PATH)) return known.make();
  }
  throw Error(
      ErrorCode::InvalidInput,
      fmt::format(
          "{} has no package manager that this version knows: neither apt nor dnf nor zypper nor pacman",
          image.display_name),
      "use another image, or leave system.packages empty");
}

}  // namespace karapace::runtime
