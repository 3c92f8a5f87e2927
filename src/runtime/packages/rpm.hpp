// SPDX-License-Identifier: Apache-2.0
// What the managers of rpm packages share: installing files with rpm, and who signed them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "packages/mirrors.hpp"
#include "packages/package_manager.hpp"

namespace karapace::runtime {

inline constexpr std::string_view kRpmSuffix = ".rpm";

/// Installs with the base's rpm, without its manager.
class RpmManager : public PackageManager {
 protected:
  [[nodiscard]] std::string_view file_suffix() const noexcept override { return kRpmSuffix; }
  void install_files(BaseSystem& system, const std::vector<LockedPackage>& packages,
                     const std::vector<std::string>& paths) override;
  [[nodiscard]] std::vector<InstalledPackage> installed(BaseSystem& system) override;
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> finish(
      BaseSystem& system, const std::vector<LockedPackage>& packages) override;
};

/// "name<TAB>[epoch:]version-release<TAB>architecture" per line; an epoch of 0 is none.
[[nodiscard]] std::vector<InstalledPackage> parse_rpm_query(std::string_view output);

/// Packages of one repository that must be signed, by one of `keys` or by one that the base trusts already.
struct SignedPackages {
  std::string repository;
  std::vector<std::string> keys;  // file:/// in the base, or https://
  std::vector<LockedPackage> packages;
};
/// Those of `packages` that come from `repository` and were not locked before.
[[nodiscard]] std::vector<LockedPackage> new_packages_of(std::string_view repository,
                                                         const std::vector<LockedPackage>& packages,
                                                         const std::vector<LockedPackage>& locked);
/// Fetches the packages and looks at them with the base's own rpmkeys. Throws InvalidInput that names those
/// without a good signature.
void fetch_and_check(BuildContext& context, const Digest& base_layer,
                     const std::vector<SignedPackages>& wanted, const std::vector<Repository>& repositories,
                     const Mirrors& mirrors);

/// Makes the base's rpm trust the keys of a repository. Throws InvalidInput for a key that anybody may have
/// changed on its way.
void import_keys(BaseSystem& system, std::string_view repository, const std::vector<std::string>& keys);

/// The files that `rpmkeys --checksig` did not call good.
[[nodiscard]] std::vector<std::string> parse_bad_signatures(std::string_view output);

}  // namespace karapace::runtime
