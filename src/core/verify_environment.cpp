// SPDX-License-Identifier: Apache-2.0
// verify-env: the layers of one environment beside what its lock gives.
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "build.hpp"
#include "compare_layers.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/core/engine.hpp"
#include "karapace/runtime/worker.hpp"

namespace karapace::core {
namespace {

struct Checked {
  store::LayerKind kind;
  std::string digest;
};

std::vector<Checked> layers_of(const LockFile& lock) {
  std::vector<Checked> layers = {{store::LayerKind::Base, lock.base_image_digest}};
  if (!lock.dependency_layer.empty()) layers.push_back({store::LayerKind::Dependency, lock.dependency_layer});
  return layers;
}

std::vector<std::string> digests_of(const LockFile& lock) {
  std::vector<std::string> digests;
  for (const Checked& layer : layers_of(lock)) digests.push_back(layer.digest);
  return digests;
}

/// Both versions of files, for whoever wants to look into them.
class Keeper {
 public:
  Keeper(const store::StoreLayout& layout, Ownership ownership, const std::string& directory,
         CancelToken& cancel)
      : worker_(layout, ownership), directory_(directory), cancel_(cancel) {}

  void keep(const LayerComparison& comparison, const std::string& expected_tree,
            const std::string& found_tree) {
    for (const FileDifference& difference : comparison.differences) {
      const store::TreeChange& change = difference.change;
      if (change.kind != store::ChangeKind::Added) copy(expected_tree, "expected", change.path);
      if (change.kind != store::ChangeKind::Removed) copy(found_tree, "rebuilt", change.path);
    }
  }

 private:
  void copy(const std::string& tree, const std::string& side, const std::string& path) {
    const std::filesystem::path target = std::filesystem::path(directory_) / side / path;
    std::filesystem::create_directories(target.parent_path());
    const UniqueFd parent = open_path(target.parent_path().string(), O_RDONLY | O_DIRECTORY);
    const std::string name = target.filename().string();
    try_unlink_at(parent, name);
    const UniqueFd file = open_beneath(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    try {
      worker_.copy_file(tree + "/" + path, file, cancel_);
    } catch (const Error& error) {
      // No regular file: the report says all there is to say about it.
      if (error.code() == ErrorCode::NoSpace) throw;
      try_unlink_at(parent, name);
    }
  }

  runtime::TreeWorker worker_;
  std::string directory_;
  CancelToken& cancel_;
};

class Verifier {
 public:
  Verifier(Engine::Impl& engine, const store::EnvRecord& record, const LockFile& lock,
           const VerifyEnvOptions& options)
      : engine_(engine), layout_(*engine.layout), record_(record), lock_(lock), options_(options) {}

  EnvVerification run() {
    for (const Checked& layer : layers_of(lock_)) {
      const auto expected = find_index(layout_, layer.digest);
      if (!expected)
        throw Error(ErrorCode::Corrupt, fmt::format("the index of layer {} is missing", layer.digest));
      result_.layers.push_back(options_.rebuild ? rebuild(layer, *expected) : look_at_tree(layer, *expected));
    }
    return std::move(result_);
  }

 private:
  LayerComparison look_at_tree(const Checked& layer, const std::string& expected) {
    const bool flat = lock_.ownership == Ownership::Flat;
    engine_.progress.step("hash", layer.kind == store::LayerKind::Base ? "base image" : "dependency layer");
    const store::TreeScan scan =
        runtime::TreeWorker(layout_, lock_.ownership).read_tree(Digest::parse(layer.digest), engine_.cancel);
    return compare_layers(layout_, layer.kind, {layer.digest, expected},
                          {hash_bytes(scan.index).hex(), scan.index}, sources(),
                          flat ? store::ModeView::Stripped : store::ModeView::Identity);
  }

  LayerComparison rebuild(const Checked& layer, const std::string& expected) {
    LayerComparison comparison;
    const BuildOptions locked{.name = {}, .locked = true, .update_packages = {}};
    Build build(engine_, locked, recorded_inputs(layout_, record_, lock_));
    static_cast<void>(
        build.describe_layer(layer.kind, [&](const DescribedLayer& found, const std::string& tree) {
          comparison = compare_layers(layout_, layer.kind, {layer.digest, expected},
                                      {found.hash.hex(), found.index}, sources());
          if (options_.keep.empty()) return;
          Keeper(layout_, lock_.ownership, absolute_path(options_.keep), engine_.cancel)
              .keep(comparison, "trees/" + layer.digest, tree);
        }));
    result_.downloaded_files += build.downloaded_files();
    result_.downloaded_bytes += build.downloaded_bytes();
    return comparison;
  }

  [[nodiscard]] OwnerSources sources() const { return {digests_of(lock_), lock_.resolved_packages}; }

  Engine::Impl& engine_;
  const store::StoreLayout& layout_;
  const store::EnvRecord& record_;
  const LockFile& lock_;
  const VerifyEnvOptions& options_;
  EnvVerification result_;
};

void require_layers_of_lock(const store::StoreLayout& layout, const store::EnvRecord& record,
                            const LockFile& lock) {
  if (record.state == store::EnvState::Archived) {
    throw Error(ErrorCode::Conflict, fmt::format("{} is archived", record.short_id),
                fmt::format("karapace unarchive {}", record.short_id));
  }
  if (follows_lock(layout, record) != true) {
    throw Error(
        ErrorCode::Conflict,
        fmt::format("{} stands on the layers of a snapshot, not on those of its lock", record.short_id),
        "go back to those of the lock: karapace build");
  }
  for (const Checked& layer : layers_of(lock)) {
    if (store::LayerStore(layout).is_laid_out(Digest::parse(layer.digest))) continue;
    throw Error(ErrorCode::Corrupt, fmt::format("layer {} is not laid out", layer.digest),
                "karapace verify-store --repair");
  }
}

}  // namespace

bool EnvVerification::identical() const {
  return std::ranges::all_of(layers,
                             [](const LayerComparison& layer) { return layer.expected == layer.found; });
}

EnvVerification Engine::verify_environment(const EnvironmentView& environment,
                                           const VerifyEnvOptions& options) {
  const store::StoreLayout& layout = impl_->open();
  // Layers never change, so sessions and commits may go on; only gc has to wait.
  const auto lock = layout.lock_shared([&] { impl_->wait_note("a store-wide operation"); });
  const store::EnvRecord record = reload(layout, environment.record.env_id).record;
  const std::optional<LockFile> built_from = lock_of(layout, record);
  if (!built_from) {
    throw Error(ErrorCode::NotFound,
                fmt::format("environment {} was never resolved: it has no lock", record.short_id),
                "build it: karapace build");
  }
  verify_integrity(*built_from, fmt::format("lock of {}", record.short_id));
  require_layers_of_lock(layout, record, *built_from);
  return Verifier(*impl_, record, *built_from, options).run();
}

}  // namespace karapace::core
