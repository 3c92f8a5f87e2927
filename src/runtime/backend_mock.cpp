// SPDX-License-Identifier: Apache-2.0
// No distribution, no network: images and packages are little files. What is built is real, though: layers in
// the store, and sessions that are processes with a pid, so that tests of the life cycle mean something.
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "backend_namespace.hpp"
#include "karapace/base/durable.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/json.hpp"
#include "karapace/base/text.hpp"
#include "karapace/store/index_stream.hpp"
#include "karapace/store/layer.hpp"

namespace karapace::runtime {
namespace {

constexpr std::string_view kVersion = "0.0.0-mock";
// Names that the mock archive does not have, so that tests can ask for one.
constexpr std::string_view kUnknownPrefix = "no-such-";
// Names of packages that are never installed twice in the same way.
constexpr std::string_view kChangingPrefix = "ever-changing-";

struct MockFile {
  std::string name;
  std::string content;
};

Digest seal_files(BuildContext& context, const std::string& name, const std::vector<MockFile>& files,
                  store::LayerKind kind) {
  const UniqueFd staging = context.operation.staging();
  make_directory_at(staging, name, 0755);
  {
    const UniqueFd tree = open_directory(staging, name);
    for (const MockFile& file : files) {
      UniqueFd opened = open_beneath(tree, file.name, O_WRONLY | O_CREAT | O_EXCL, 0644);
      write_all(opened, file.content);
      opened.close();
    }
  }
  const UniqueFd tree = open_directory(staging, name);
  store::SealOptions options;
  options.flat = true;
  options.set_mtime = store::kSourceDateEpoch;
  const UniqueFd objects = context.store.objects();
  if (context.index_only != nullptr) {
    const auto entries = store::scan_tree(tree, true, true, 1, context.cancel);
    const std::string described = name + ".index";
    replace_file(staging, described, store::encode_index(entries), 0644);
    *context.index_only = fmt::format("{}/{}", context.operation.staging_path(), described);
    return store::summarise(entries).hash;
  }
  context.progress.step("seal", name);
  const store::SealedTree sealed = store::seal_tree(tree, objects, options, context.progress, context.cancel);
  const std::string index = store::encode_index(sealed.entries);
  const std::string mtimes = store::encode_mtimes(sealed.entries);
  store::LayerRecord record;
  record.hash = record.index_object = hash_bytes(index);
  record.mtimes_object = hash_bytes(mtimes);
  context.progress.step("publish", name);
  store::publish_tree(staging, name, context.store.trees(), record.hash);
  record.kind = kind;
  record.ownership = "flat";
  record.entries = sealed.entries.size();
  for (const store::IndexEntry& entry : sealed.entries) record.bytes += entry.size;
  store::LayerStore(context.store).put(record, index, mtimes);
  return record.hash;
}

class MockBackend : public Backend {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "mock"; }

  [[nodiscard]] BaseResolution resolve_base(BuildContext& context) override {
    BaseResolution resolution;
    resolution.pin.provider = BaseProvider::Mock;
    resolution.pin.distribution = context.manifest.base_image;
    return resolution;
  }

  [[nodiscard]] std::vector<Artefact> base_artefacts(
      const BasePin& /*pin*/, const std::vector<Repository>& /*repositories*/) override {
    return {};
  }

  [[nodiscard]] Digest base_key(const BasePin& pin, const std::string& arch, Ownership ownership) override {
    return hash_bytes(fmt::format(
        "karapace mock-base v1\n{}",
        canonical_json({{"image", pin.distribution}, {"arch", arch}, {"ownership", to_string(ownership)}})));
  }

  [[nodiscard]] Digest build_base(BuildContext& context, const BasePin& pin,
                                  const std::vector<Repository>& /*repositories*/) override {
    context.progress.step("bootstrap", pin.distribution);
    return seal_files(context, "mock-base", {{".karapace-mock", "mock-image:" + pin.distribution}},
                      store::LayerKind::Base);
  }

  [[nodiscard]] PackageResolution resolve_packages(BuildContext& context, const Digest& /*base_layer*/,
                                                   const std::vector<std::string>& names,
                                                   const std::vector<LockedPackage>& /*locked*/,
                                                   const std::vector<Repository>& repositories) override {
    context.progress.step("resolve", counted(names.size(), "package"));
    PackageResolution resolution;
    resolution.repositories = repositories;
    std::vector<std::string> unknown;
    for (const std::string& package : names) {
      if (package.starts_with(kUnknownPrefix)) unknown.push_back(package);
      LockedPackage locked;
      locked.name = package;
      locked.version = kVersion;
      locked.arch = "all";
      locked.sha256 = hash_bytes("mock-package:" + package).hex();
      locked.requested = true;
      resolution.packages.push_back(std::move(locked));
    }
    if (!unknown.empty()) {
      throw Error(ErrorCode::InvalidInput,
                  fmt::format("{} has no package {}", context.manifest.base_image, fmt::join(unknown, ", ")));
    }
    return resolution;
  }

  [[nodiscard]] std::vector<Artefact> package_artefacts(
      const std::vector<LockedPackage>& /*packages*/,
      const std::vector<Repository>& /*repositories*/) override {
    return {};
  }

  [[nodiscard]] Digest dependency_key(const Digest& base_layer, const std::vector<LockedPackage>& packages,
                                      Ownership ownership) override {
    Json names = Json::array();
    for (const LockedPackage& package : packages) names.push_back({package.name, package.version});
    return hash_bytes(fmt::format(
        "karapace mock-dependencies v1\n{}",
        canonical_json(
            {{"base", base_layer.hex()}, {"packages", names}, {"ownership", to_string(ownership)}})));
  }

  [[nodiscard]] Digest build_dependencies(BuildContext& context, const Digest& /*base_layer*/,
                                          const std::vector<LockedPackage>& packages) override {
    context.progress.step("install", counted(packages.size(), "package"));
    std::vector<MockFile> files;
    for (const LockedPackage& package : packages) {
      const bool changes = package.name.starts_with(kChangingPrefix);
      files.push_back({".pkg-" + package.name, fmt::format("{}@{}{}", package.name, package.version,
                                                           changes ? context.operation.op_id() : "")});
    }
    return seal_files(context, "mock-dependencies", files, store::LayerKind::Dependency);
  }

  // The same locks, holder and supervisor as for real, on the host's own root: the mock tree has no programs.
  [[nodiscard]] PreparedSession prepare(const store::StoreLayout& store,
                                        const SessionRequest& request) override {
    PreparedSession session = prepare_session(store, request);
    session.plan.environment.root.reset();
    session.plan.environment.mounts = {MountStep{.kind = MountKind::Proc, .target = "/proc"}};
    return session;
  }
};

}  // namespace

std::unique_ptr<Backend> make_mock_backend() { return std::make_unique<MockBackend>(); }

}  // namespace karapace::runtime
