// SPDX-License-Identifier: Apache-2.0
// Making the lock complete: the base is pinned and built (its tree digest is part of the identity), then the
// package closure.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "build.hpp"
#include "karapace/base/text.hpp"
#include "karapace/runtime/mirror_names.hpp"
#include "karapace/schema/version_order.hpp"
#include "karapace/store/layer.hpp"
#include "karapace/store/object_store.hpp"

namespace karapace::core {
namespace {

/// Repositories by name; those of `more` win, so that a fresh resolution can move a suite.
void merge_repositories(std::vector<Repository>& into, const std::vector<Repository>& more) {
  for (const auto& repository : more) {
    const auto same = std::ranges::find(into, repository.name, &Repository::name);
    if (same == into.end()) {
      into.push_back(repository);
    } else {
      *same = repository;
    }
  }
}

void drop_unused_repositories(LockFile& lock) {
  const auto used = [&](const std::string& name) {
    const auto from = [&](const LockedPackage& package) { return package.repository == name; };
    return std::ranges::any_of(lock.resolved_packages, from) || std::ranges::any_of(lock.base.packages, from);
  };
  std::erase_if(lock.repositories, [&](const Repository& repository) { return !used(repository.name); });
}

void tell_of_unused_mirrors(const std::vector<Repository>& repositories, ProgressSink& progress) {
  for (const std::string& name : runtime::unused_mirrors(repositories)) {
    std::vector<std::string> known;
    for (const Repository& repository : repositories) known.push_back(repository.name);
    progress.note(fmt::format("KARAPACE_MIRROR names '{}', which is no repository of this environment{}{}",
                              printable(name), known.empty() ? "" : ": it has ",
                              printable(fmt::format("{}", fmt::join(known, ", ")), 4096)));
  }
}

}  // namespace

/// An index can be well signed and old: a mirror that fell behind, or somebody who repeats it to keep a fault
/// from being mended. A lock knows what there was.
void Build::refuse_older(const std::vector<LockedPackage>& locked,
                         const std::vector<LockedPackage>& offered) const {
  if (inputs_.old_lock->base_image != lock_.base_image) return;
  const std::vector<OlderPackage> older = find_older(locked, offered);
  if (older.empty()) return;
  const auto& first = older.front();
  const std::string more = older.size() > 1 ? fmt::format(" (and {} more)", older.size() - 1) : "";
  throw Error(
      ErrorCode::InvalidInput,
      fmt::format("the repositories have {} {}, which is older than the {} of {}{}", printable(first.name),
                  printable(first.now), printable(first.before), inputs_.lock_path, more),
      fmt::format(
          "an index may be out of date: try again later, or with another mirror; if the older version "
          "is meant, remove {} and build",
          inputs_.lock_path));
}

void Build::complete_lock() {
  lock_ = plan_.lock;
  progress_.part("base");
  if (plan_.resolve_base) resolve_base();
  ensure_base();
  progress_.part("packages");
  if (plan_.resolve_packages) resolve_packages();
  tell_of_unused_mirrors(lock_.repositories, progress_);
  drop_unused_repositories(lock_);
  seal_identity(lock_);
}

void Build::resolve_base() {
  auto build = context();
  auto resolution = backend_->resolve_base(build);
  if (inputs_.old_lock) refuse_older(inputs_.old_lock->base.packages, resolution.pin.packages);
  lock_.base = std::move(resolution.pin);
  merge_repositories(lock_.repositories, resolution.repositories);
  lock_.base_image_digest.clear();
  lock_.dependency_layer.clear();
}

void Build::resolve_packages() {
  lock_.dependency_layer.clear();
  if (plan_.names.empty()) {
    lock_.resolved_packages.clear();
    return;
  }
  const auto kept = options_.offline ? plan_.keep : fetch_what_is_left_of(plan_.keep);
  auto build = context();
  auto resolution = backend_->resolve_packages(build, Digest::parse(lock_.base_image_digest), plan_.names,
                                               kept, lock_.repositories);
  if (inputs_.old_lock) refuse_older(inputs_.old_lock->resolved_packages, resolution.packages);
  lock_.resolved_packages = std::move(resolution.packages);
  merge_repositories(lock_.repositories, resolution.repositories);
}

std::vector<LockedPackage> Build::fetch_what_is_left_of(const std::vector<LockedPackage>& packages) {
  if (packages.empty() || backend_->name() == "mock") return packages;
  // A locked package that is gone from its mirror is no reason to refuse adding another one: it moves, and
  // the lock shows it.
  try {
    fetch(backend_->package_artefacts(packages, lock_.repositories));
  } catch (const Error& error) {
    if (error.code() == ErrorCode::NoSpace) throw;
    engine_.progress.note(fmt::format("some locked packages can no longer be had: {}", error.what()));
  }
  const store::PackageStore store(*engine_.layout);
  std::vector<LockedPackage> present;
  std::ranges::copy_if(packages, std::back_inserter(present),
                       [&](const LockedPackage& package) { return store.contains(package.sha256); });
  return present;
}

}  // namespace karapace::core
