// SPDX-License-Identifier: Apache-2.0
#include "compare_layers.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "build.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "karapace/runtime/package_owners.hpp"
#include "karapace/store/object_store.hpp"

namespace karapace::core {
namespace {

constexpr std::size_t kMaxIndex = 1024UL * 1024 * 1024;
constexpr std::size_t kLinesInError = 20;

/// Those that are there.
std::vector<UniqueFd> open_trees(const store::StoreLayout& layout, const std::vector<std::string>& layers) {
  const UniqueFd trees = layout.trees();
  std::vector<UniqueFd> opened;
  for (const std::string& layer : layers) {
    if (auto tree = try_open_beneath(trees, layer, O_RDONLY | O_DIRECTORY))
      opened.push_back(std::move(*tree));
  }
  return opened;
}

std::vector<runtime::RpmFile> rpms_of(const store::StoreLayout& layout,
                                      const std::vector<LockedPackage>& packages) {
  std::vector<runtime::RpmFile> rpms;
  for (const LockedPackage& package : packages) {
    if (!package.path.ends_with(".rpm")) continue;
    rpms.push_back(
        {package.name, [&layout, &package] { return store::PackageStore(layout).open(package.sha256); }});
  }
  return rpms;
}

std::string_view sign_of(store::ChangeKind kind) {
  switch (kind) {
    case store::ChangeKind::Added:
      return "not expected";
    case store::ChangeKind::Removed:
      return "missing";
    case store::ChangeKind::Modified:
      break;
  }
  return {};
}

std::string_view name_of(store::LayerKind kind) {
  return kind == store::LayerKind::Base ? "base" : "package";
}

}  // namespace

std::optional<std::string> find_index(const store::StoreLayout& layout, const std::string& layer) {
  // A layer is called by the digest of its index.
  return store::ObjectStore(layout).find(Digest::parse(layer), kMaxIndex);
}

LayerComparison compare_layers(const store::StoreLayout& layout, store::LayerKind kind,
                               const ComparedLayer& expected, const ComparedLayer& found,
                               const OwnerSources& sources, store::ModeView modes) {
  LayerComparison comparison{
      .kind = kind, .expected = expected.digest, .found = found.digest, .differences = {}};
  auto changes =
      store::diff_indexes(store::IndexReader(expected.index), store::IndexReader(found.index), modes);
  if (changes.empty())
    comparison.found = expected.digest;  // bits that the disk does not have are no difference
  if (changes.empty()) return comparison;
  std::vector<std::string> paths;
  for (const store::TreeChange& change : changes) paths.push_back(change.path);
  const auto owners =
      runtime::find_owners(open_trees(layout, sources.trees), rpms_of(layout, sources.packages), paths);
  for (store::TreeChange& change : changes) {
    std::optional<runtime::Owner> owner;
    if (const auto known = owners.find(change.path); known != owners.end()) owner = known->second;
    comparison.differences.push_back({std::move(change), std::move(owner)});
  }
  return comparison;
}

std::string describe_differences(const LayerComparison& comparison, std::size_t limit) {
  const std::size_t count = comparison.differences.size();
  std::string text = fmt::format("{} path{}:", count, count == 1 ? " differs" : "s differ");
  for (const FileDifference& difference : comparison.differences) {
    if (limit-- == 0) return text + "\n...";
    const store::TreeChange& change = difference.change;
    const std::string what = change.kind == store::ChangeKind::Modified
                                 ? fmt::format("{}", fmt::join(change.what, ", "))
                                 : std::string(sign_of(change.kind));
    text += fmt::format("\n/{} ({}){}", printable(change.path, 1000), what,
                        difference.owner ? ", " + runtime::describe(*difference.owner) : "");
  }
  return text;
}

LayerDiffers::LayerDiffers(std::string_view cause, LayerComparison comparison, std::string fix)
    : Error(ErrorCode::Conflict,
            comparison.differences.empty()
                ? std::string(cause)
                : fmt::format("{}; {}", cause, describe_differences(comparison, kLinesInError)),
            std::move(fix)),
      comparison_(std::move(comparison)) {}

void Build::check_reproduced(store::LayerKind kind, const std::string& expected, const Digest& found) {
  if (expected.empty() || expected == found.hex()) return;
  const store::StoreLayout& layout = *engine_.layout;
  const std::string cause =
      fmt::format("the {} layer built from {} differs from the one it pins: expected {}, got {}",
                  name_of(kind), inputs_.lock_path, expected, found.hex());
  const std::string accept = "or accept today's with karapace build --update";
  const OwnerSources sources{{found.hex(), lock_.base_image_digest}, lock_.resolved_packages};
  const std::string built = find_index(layout, found.hex()).value();
  if (const auto wanted = find_index(layout, expected)) {
    throw LayerDiffers(cause,
                       compare_layers(layout, kind, {expected, *wanted}, {found.hex(), built}, sources),
                       "make these packages build the same everywhere, " + accept);
  }
  // Nobody here knows what the expected layer had. What changes from one build to the next can be seen.
  progress_.note(fmt::format("the {} layer is not what the lock says; built once more to see what changes",
                             name_of(kind)));
  BuildInputs inputs = inputs_;
  inputs.old_lock = lock_;
  const BuildOptions options{.name = {}, .offline = options_.offline, .update_packages = {}};
  Build again(engine_, options, std::move(inputs));
  const DescribedLayer second = again.describe_layer(kind);
  LayerComparison comparison =
      compare_layers(layout, kind, {found.hex(), built}, {second.hash.hex(), second.index}, sources);
  comparison.expected = expected;
  comparison.found = found.hex();
  comparison.with_expected = false;
  if (comparison.differences.empty()) {
    throw LayerDiffers(cause + "; a second build here gave the same as the first", std::move(comparison),
                       fmt::format("copy store/objects/{} from a store that has the layer into this one, and "
                                   "build again to see the files, {}",
                                   expected, accept));
  }
  throw LayerDiffers(cause +
                         "; this store does not have the list of what the lock's layer holds, but two builds "
                         "here differ, too",
                     std::move(comparison), "make these packages build the same each time, " + accept);
}

}  // namespace karapace::core
