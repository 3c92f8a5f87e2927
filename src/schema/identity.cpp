// SPDX-License-Identifier: Apache-2.0
#include "karapace/schema/identity.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "karapace/base/json.hpp"
#include "karapace/schema/lock_file.hpp"
#include "manifest_json.hpp"

namespace karapace {
namespace {

EnvId hash_with_domain(std::string_view domain, std::string_view canonical) {
  Hasher hasher;
  hasher.update(domain);
  hasher.update(canonical);
  return EnvId(hasher.finish());
}

/// The identity is that of the set: whoever holds an unsorted lock gets the same id. Who was asked for is
/// part of it, because every package manager writes that into its database.
Json packages_to_json(const std::vector<LockedPackage>& packages) {
  std::vector<const LockedPackage*> sorted;
  sorted.reserve(packages.size());
  for (const LockedPackage& package : packages) sorted.push_back(&package);
  std::sort(sorted.begin(), sorted.end(), [](const LockedPackage* a, const LockedPackage* b) {
    return std::tie(a->name, a->version, a->arch, a->sha256) <
           std::tie(b->name, b->version, b->arch, b->sha256);
  });
  Json array = Json::array();
  for (const LockedPackage* package : sorted) {
    Json entry{{"arch", package->arch},
               {"name", package->name},
               {"sha256", package->sha256},
               {"version", package->version}};
    if (package->requested) entry["requested"] = true;
    array.push_back(std::move(entry));
  }
  return array;
}

}  // namespace

EnvId EnvId::parse(std::string_view hex) {
  if (!Digest::is_valid(hex)) {
    throw Error(
        ErrorCode::InvalidInput,
        fmt::format("'{}' is not an environment id: expected 64 lower-case hex digits", printable(hex)));
  }
  return EnvId(std::string(hex));
}

std::string identity_json(const LockFile& lock) {
  std::vector<std::string> apps = lock.resolved_apps;
  std::sort(apps.begin(), apps.end());
  std::vector<Mount> mounts = lock.mounts;
  std::sort(mounts.begin(), mounts.end());
  return canonical_json(Json{{"apps", apps},
                             {"arch", lock.arch},
                             {"audio", lock.hardware_audio},
                             {"backend", lock.runtime_backend},
                             {"base_digest", lock.base_image_digest},
                             {"cpu_shares", limit_to_json(lock.cpu_shares)},
                             {"gpu", lock.hardware_gpu},
                             {"memory_limit_mb", limit_to_json(lock.memory_limit_mb)},
                             {"mounts", mounts_to_json(mounts)},
                             {"network_isolation", lock.network_isolation},
                             {"ownership", to_string(lock.ownership)},
                             {"packages", packages_to_json(lock.resolved_packages)}});
}

EnvId compute_env_id(const LockFile& lock) { return hash_with_domain(kEnvIdDomain, identity_json(lock)); }

EnvId compute_preliminary_id(const Manifest& manifest) {
  Json json = manifest_to_json(manifest);
  json.erase("home");  // policy: a different home is not a different environment
  return hash_with_domain(kPreliminaryIdDomain, canonical_json(json));
}

}  // namespace karapace
