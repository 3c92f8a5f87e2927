// SPDX-License-Identifier: Apache-2.0
// outdated: what `build --update` would move. Everything is resolved as that does it, on the base of the
// lock, and nothing of it is kept.

#include <map>
#include <tuple>
#include <utility>

#include "build.hpp"
#include "karapace/schema/version_order.hpp"

namespace karapace::core {
namespace {

constexpr std::string_view kBase = "base";
constexpr std::string_view kBasePackage = "base-package";
constexpr std::string_view kPackage = "package";

using ByName = std::map<std::pair<std::string, std::string>, LockedPackage>;

ByName by_name(const std::vector<LockedPackage>& packages) {
  ByName result;
  for (const LockedPackage& package : packages)
    result.emplace(std::pair(package.name, package.arch), package);
  return result;
}

void compare(std::string_view kind, const std::vector<LockedPackage>& locked,
             const std::vector<LockedPackage>& available, std::vector<OutdatedItem>& found) {
  const ByName before = by_name(locked);
  const ByName after = by_name(available);
  const auto one = [](const ByName& packages, const ByName::key_type& key) {
    const auto package = packages.find(key);
    return package == packages.end() ? LockedPackage{} : package->second;
  };
  std::map<ByName::key_type, std::pair<LockedPackage, LockedPackage>> both;
  for (const auto& entry : before) both[entry.first] = {entry.second, one(after, entry.first)};
  for (const auto& entry : after) both[entry.first] = {one(before, entry.first), entry.second};
  for (const auto& [key, pair] : both) {
    const auto& [old, now] = pair;
    if (old.sha256 == now.sha256 && old.version == now.version) continue;
    const bool older = !find_older({old}, {now}).empty();
    found.push_back(
        {std::string(kind), key.first, key.second, old.version, now.version, old.sha256, now.sha256, older});
  }
}

/// Which bytes a base is that does not consist of packages.
std::string digest_of(const BasePin& pin) {
  if (!pin.sha256.empty()) return pin.sha256;
  return pin.files.empty() ? std::string() : pin.files.front().sha256;
}

std::string version_of(const BasePin& pin) {
  const std::string digest = digest_of(pin);
  return pin.version.empty() && !digest.empty() ? "sha256:" + digest.substr(0, 12) : pin.version;
}

void compare(const std::string& image, const BasePin& locked, const BasePin& available,
             std::vector<OutdatedItem>& found) {
  compare(kBasePackage, locked.packages, available.packages, found);
  const std::string old = digest_of(locked);
  const std::string now = digest_of(available);
  if (old != now)
    found.push_back({std::string(kBase), image, {}, version_of(locked), version_of(available), old, now});
}

}  // namespace

OutdatedResult Build::run_outdated() {
  OutdatedResult result;
  begin();
  try {
    lock_ = plan_.lock;
    auto build = context();
    compare(lock_.base_image, lock_.base, backend_->resolve_base(build).pin, result.items);
    if (!plan_.names.empty()) {
      ensure_base();
      const auto now = backend_->resolve_packages(build, Digest::parse(lock_.base_image_digest), plan_.names,
                                                  {}, lock_.repositories);
      compare(kPackage, lock_.resolved_packages, now.packages, result.items);
    }
    images_.reset();
    operation_->finish(engine_.tree_remover());
  } catch (...) {
    images_.reset();
    operation_->undo_now(engine_.tree_remover());
    throw;
  }
  result.env_id = lock_.env_id;
  result.lock_path = inputs_.lock_path;
  progress_.finish();
  return result;
}

OutdatedResult Engine::outdated(const std::string& manifest_path) {
  const store::StoreLayout* layout = impl_->layout ? &*impl_->layout : nullptr;
  BuildOptions options;
  options.locked = true;
  return Build(*impl_, options, read_build_inputs(manifest_path, options, impl_->root, layout))
      .run_outdated();
}

}  // namespace karapace::core
