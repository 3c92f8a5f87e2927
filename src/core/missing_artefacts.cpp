// SPDX-License-Identifier: Apache-2.0
// What the store lacks to build a lock, and how that is said.

#include "missing_artefacts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "karapace/store/layer.hpp"
#include "karapace/store/object_store.hpp"

namespace karapace::core {
namespace {

constexpr std::size_t kLineBytes = 100;
constexpr std::size_t kMaxLines = 36;  // an error of more lines is cut

void append(std::vector<runtime::Artefact>& all, std::vector<runtime::Artefact> more) {
  std::ranges::move(more, std::back_inserter(all));
}

/// Labels separated by commas, on lines of about the same length.
std::string listed(const std::vector<runtime::Artefact>& artefacts) {
  std::size_t total = 0;
  for (const auto& artefact : artefacts) total += artefact.label.size() + 2;
  const std::size_t width = std::max(kLineBytes, total / kMaxLines);
  std::string text;
  std::size_t used = width;
  for (const auto& artefact : artefacts) {
    std::string label = printable(artefact.label);
    if (&artefact != &artefacts.back()) label += ',';
    const bool fits = used + label.size() < width;
    text.append(fits ? " " : "\n").append(label);
    used = (fits ? used : 0) + label.size() + 1;
  }
  return text;
}

}  // namespace

std::vector<runtime::Artefact> all_artefacts(runtime::Backend& backend, const LockFile& lock) {
  std::vector<runtime::Artefact> all = backend.base_artefacts(lock.base, lock.repositories);
  append(all, backend.package_artefacts(lock.resolved_packages, lock.repositories));
  return all;
}

std::vector<runtime::Artefact> needed_artefacts(runtime::Backend& backend, const LockFile& lock,
                                                const store::StoreLayout* layout) {
  if (layout == nullptr) return all_artefacts(backend, lock);
  const store::LayerStore layers(*layout);
  const store::BuildCache cache(*layout);
  const auto is_there = [&](const std::string& digest, const Digest& key) {
    if (!digest.empty() && layers.find(Digest::parse(digest))) return true;
    const auto known = cache.find(key);
    return known && layers.find(*known);
  };
  std::vector<runtime::Artefact> needed;
  if (!is_there(lock.base_image_digest, backend.base_key(lock.base, lock.arch, lock.ownership)))
    append(needed, backend.base_artefacts(lock.base, lock.repositories));
  if (lock.resolved_packages.empty()) return needed;
  const Digest key =
      backend.dependency_key(Digest::parse(lock.base_image_digest), lock.resolved_packages, lock.ownership);
  if (!is_there(lock.dependency_layer, key))
    append(needed, backend.package_artefacts(lock.resolved_packages, lock.repositories));
  return needed;
}

std::vector<runtime::Artefact> not_in_store(std::vector<runtime::Artefact> artefacts,
                                            const store::StoreLayout* layout) {
  std::unordered_set<std::string> seen;
  std::optional<store::PackageStore> packages;
  if (layout != nullptr) packages.emplace(*layout);
  std::erase_if(artefacts, [&](const runtime::Artefact& artefact) {
    return !seen.insert(artefact.sha256).second || (packages && packages->contains(artefact.sha256));
  });
  return artefacts;
}

void check_sizes(const std::vector<runtime::Artefact>& artefacts, const store::StoreLayout* layout) {
  if (layout == nullptr) return;
  const store::PackageStore packages(*layout);
  for (const runtime::Artefact& artefact : artefacts) {
    if (artefact.size == 0) continue;  // the lock does not know
    const auto file = packages.open(artefact.sha256);
    if (!file) continue;
    const auto size = static_cast<std::uint64_t>(stat_fd(*file).st_size);
    if (size == artefact.size) continue;
    throw Error(ErrorCode::InvalidInput,
                fmt::format("the lock gives {} {} bytes, and the file with its hash in the store has {}",
                            printable(artefact.label), artefact.size, size),
                "restore the lock from version control; if it was not edited, karapace verify-store tells "
                "whether the store is damaged");
  }
}

MissingArtefacts::MissingArtefacts(ErrorCode code, std::string_view cause,
                                   std::vector<runtime::Artefact> missing, std::string fix)
    : Error(code,
            fmt::format("{}: {} file{} not in the store:{}", cause, missing.size(),
                        missing.size() == 1 ? " is" : "s are", listed(missing)),
            std::move(fix)),
      missing_(std::move(missing)) {}

}  // namespace karapace::core
