// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <map>

#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "packages/apt.hpp"
#include "packages/apt_workspace.hpp"
#include "packages/deb_unpacking.hpp"
#include "packages/package_files.hpp"
#include "packages/step_output.hpp"

namespace karapace::runtime::apt {
namespace {

constexpr std::string_view kExtendedStates = "var/lib/apt/extended_states";
constexpr std::string_view kPolicyRcD = "#!/bin/sh\nexit 101\n";
constexpr std::size_t kMaxStates = 16 * 1024 * 1024;

class AptManager : public PackageManager {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "apt"; }
  [[nodiscard]] PackageResolution resolve(BuildContext& context, const ResolveRequest& request) override {
    return apt::resolve(context, request);
  }

 protected:
  [[nodiscard]] std::string_view file_suffix() const noexcept override { return kSuffix; }

  // No service is started by package scripts.
  [[nodiscard]] std::vector<TreeWorker::PlacedFile> files_for_installing() const override {
    return {{"usr/sbin/policy-rc.d", std::string(kPolicyRcD), 0755}};
  }

  void install_files(BaseSystem& system, const std::vector<LockedPackage>& packages,
                     const std::vector<std::string>& paths) override {
    Dpkg dpkg(system, packages.size());
    system.context().progress.step("unpack", counted(packages.size(), "package"));
    const std::vector<DebFile> files = in_order_of(paths, packages);
    unpack_closure(system, dpkg, files, DebRelations(controls_of(system, files)));
    system.context().progress.step("configure", counted(packages.size(), "package"));
    const RunResult configured = dpkg.run({"--configure", "--pending"});
    if (configured.status != 0)
      throw_install_failed(system.context(), "dpkg cannot configure the packages", configured);
  }

  [[nodiscard]] std::vector<InstalledPackage> installed(BaseSystem& system) override {
    std::vector<InstalledPackage> packages;
    for (PackageState& state : package_states(system)) {
      if (state.status == "installed")
        packages.push_back({std::move(state.name), std::move(state.version), std::move(state.arch)});
    }
    return packages;
  }

  [[nodiscard]] std::vector<std::pair<std::string, std::string>> finish(
      BaseSystem& system, const std::vector<LockedPackage>& packages) override {
    const std::string base =
        try_read_file_at(system.base(), std::string(kExtendedStates), kMaxStates).value_or("");
    return {{std::string(kExtendedStates), extended_states(base, packages, host_architecture())}};
  }

 private:
  static std::vector<DebFile> in_order_of(const std::vector<std::string>& paths,
                                          const std::vector<LockedPackage>& packages) {
    std::map<std::string, const LockedPackage*> by_path;
    for (const LockedPackage& package : packages)
      by_path[fmt::format("{}/{}", kInsidePackages, file_name_of(package, kSuffix))] = &package;
    std::vector<DebFile> files;
    for (const std::string& path : paths) files.push_back({*by_path.at(path), path});
    return files;
  }

  static std::vector<Stanza> controls_of(BaseSystem& system, const std::vector<DebFile>& files) {
    std::vector<std::string> names;
    for (const DebFile& file : files) names.push_back(file.path.substr(kInsidePackages.size() + 1));
    BuildContext& context = system.context();
    std::vector<Stanza> controls;
    for (const std::string& text :
         system.worker().deb_controls(fmt::format("{}/{}", context.operation.staging_path(), kStagedPackages),
                                      names, context.cancel)) {
      std::vector<Stanza> stanzas = parse_stanzas(text);
      // What has no fields depends on nothing; dpkg says what is wrong with it.
      controls.push_back(stanzas.empty() ? Stanza() : std::move(stanzas.front()));
    }
    return controls;
  }
};

}  // namespace

std::string extended_states(std::string_view base_states, const std::vector<LockedPackage>& packages,
                            std::string_view architecture) {
  // Name and architecture -> automatically installed. apt files "all" under the native architecture.
  std::map<std::pair<std::string, std::string>, bool> automatic;
  for (const Stanza& stanza : parse_stanzas(base_states)) {
    automatic[{std::string(stanza.get("Package")), std::string(stanza.get("Architecture"))}] =
        stanza.get("Auto-Installed") == "1";
  }
  for (const LockedPackage& package : packages) {
    const std::string arch(package.arch == "all" ? architecture : std::string_view(package.arch));
    automatic[{package.name, arch}] = !package.requested;
  }
  std::string text;
  for (const auto& [key, is_automatic] : automatic) {
    if (is_automatic)
      text += fmt::format("Package: {}\nArchitecture: {}\nAuto-Installed: 1\n\n", key.first, key.second);
  }
  return text;
}

std::unique_ptr<PackageManager> make_manager() { return std::make_unique<AptManager>(); }

}  // namespace karapace::runtime::apt
