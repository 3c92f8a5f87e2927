// SPDX-License-Identifier: Apache-2.0
// Package URLs (purl): type/namespace/name@version?qualifiers.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "karapace/schema/sbom.hpp"
#include "karapace/schema/version_order.hpp"
#include "sbom_parts.hpp"

namespace karapace {
namespace {

struct PackageType {
  std::string_view type;    // of the purl
  std::string_view vendor;  // if the base does not say which distribution it is
};

PackageType type_of(const LockedPackage& package) {
  const auto order = version_order_of(package);
  if (!order) return {"generic", ""};
  if (*order == VersionOrder::Deb) return {"deb", "debian"};
  return *order == VersionOrder::Rpm ? PackageType{"rpm", "fedora"} : PackageType{"alpm", "arch"};
}

/// Whether a repository is Debian's or Ubuntu's own, or a mirror of it: by host, else by what it is called
/// and its components. "https://download.docker.com/linux/debian" has one that Debian does not have.
bool is_distribution(const Repository& repository) {
  constexpr std::array<std::string_view, 6> kNames = {"debian", "debian-security", "debian-archive",
                                                      "ubuntu", "ubuntu-ports",    "ubuntu-security"};
  constexpr std::array<std::string_view, 7> kComponents = {
      "main", "contrib", "non-free", "non-free-firmware", "universe", "restricted", "multiverse"};
  std::string_view url = repository.url;
  const auto scheme = url.find("://");
  url.remove_prefix(scheme == std::string_view::npos ? 0 : scheme + 3);
  while (url.ends_with('/')) url.remove_suffix(1);
  std::string_view host = url.substr(0, url.find('/'));
  host = host.substr(0, host.find(':'));
  for (const std::string_view domain : {"debian.org", "ubuntu.com"}) {
    if (host == domain || (host.ends_with(domain) && host[host.size() - domain.size() - 1] == '.'))
      return true;
  }
  return std::ranges::find(kNames, url.substr(url.rfind('/') + 1)) != kNames.end() &&
         std::ranges::all_of(repository.components, [&](const std::string& component) {
           return std::ranges::find(kComponents, component) != kComponents.end();
         });
}

/// The repository of a .deb that is nobody's whose name is a vendor's.
const Repository* foreign_repository(const LockedPackage& package, const LockFile& lock) {
  const auto found = std::ranges::find(lock.repositories, package.repository, &Repository::name);
  return found == lock.repositories.end() || is_distribution(*found) ? nullptr : &*found;
}

/// "debian/bookworm" -> "debian".
std::string vendor_of(const LockFile& lock, const PackageType& type) {
  const std::string& distribution = lock.base.distribution;
  const bool plain = lock.base.provider == BaseProvider::Bootstrap || lock.base.provider == BaseProvider::Lxc;
  if (plain && !distribution.empty()) return distribution.substr(0, distribution.find('/'));
  const bool ubuntu = std::ranges::any_of(lock.repositories, [](const Repository& repository) {
    return repository.url.find("ubuntu") != std::string::npos;
  });
  return ubuntu && type.type == "deb" ? "ubuntu" : std::string(type.vendor);
}

}  // namespace

std::string percent_encode(std::string_view text, std::string_view also_plain) {
  std::string result;
  for (const char c : text) {
    const bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (alphanumeric || std::string_view("-._~").contains(c) || also_plain.contains(c)) {
      result += c;
    } else {
      result += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return result;
}

std::string package_url(const LockedPackage& package, const LockFile& lock) {
  const PackageType type = type_of(package);
  std::string_view version = package.version;
  std::string qualifiers = fmt::format("arch={}", percent_encode(package.arch, ""));
  // The epoch of an rpm is a qualifier; that of a deb is part of the version.
  if (const auto colon = version.find(':'); type.type == "rpm" && colon != std::string_view::npos) {
    qualifiers += fmt::format("&epoch={}", version.substr(0, colon));
    version.remove_prefix(colon + 1);
  }
  std::string vendor = vendor_of(lock, type);
  if (const Repository* foreign = type.type == "deb" ? foreign_repository(package, lock) : nullptr) {
    vendor = "generic";
    qualifiers += fmt::format("&repository_url={}", percent_encode(foreign->url, ":/"));
  }
  return fmt::format("pkg:{}/{}{}{}@{}?{}", type.type, percent_encode(vendor, ""), vendor.empty() ? "" : "/",
                     percent_encode(package.name, ""), percent_encode(version, ":"), qualifiers);
}

}  // namespace karapace
