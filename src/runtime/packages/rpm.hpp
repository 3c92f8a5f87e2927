// SPDX-License-Identifier: Apache-2.0
// What the managers of rpm packages share: installing files with rpm, and who signed them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

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

/// "name<TAB>[epoch:]version-release" per line; an epoch of 0 is none.
[[nodiscard]] std::vector<InstalledPackage> parse_rpm_query(std::string_view output);

/// Packages of one repository that must be signed, by one of `keys` or by one that the base trusts already.
struct SignedPackages {
  std::string repository;
  std::vector<std::string> keys;  // file:/// in the base, or https://
  std::vector<LockedPackage> packages;
};
/// Looks at files of the package store with the base's own rpmkeys. Throws InvalidInput that names the
/// packages without a good signature.
void check_signatures(BuildContext& context, const Digest& base_layer,
                      const std::vector<SignedPackages>& wanted);

/// The files that `rpmkeys --checksig` did not call good.
[[nodiscard]] std::vector<std::string> parse_bad_signatures(std::string_view output);

}  // namespace karapace::runtime
