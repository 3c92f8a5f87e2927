// SPDX-License-Identifier: Apache-2.0
// What the engine does with a backend, without the engine: resolve or take a lock, fetch, build the layers,
// print their digests.
//   build_layers STORE MANIFEST LOCK CACHE
// A missing LOCK is written. Package files come from the directory CACHE or from the archive, and are put
// into CACHE.
#include <fcntl.h>
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <iostream>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/subprocess.hpp"
#include "karapace/runtime/backend.hpp"
#include "karapace/runtime/worker.hpp"
#include "karapace/schema/lock_file.hpp"
#include "karapace/store/layer.hpp"
#include "karapace/store/object_store.hpp"
#include "karapace/store/wal.hpp"

namespace karapace::runtime {
namespace {

namespace fs = std::filesystem;

class StderrProgress : public ProgressSink {
 public:
  void step(std::string_view name, std::string_view detail) override {
    std::cerr << name << ": " << detail << "\n";
    advances_ = 0;
  }
  void advance(std::uint64_t done, std::uint64_t total, std::string_view unit) override {
    if (++advances_ == 1) std::cerr << "  first of " << total << " " << unit << ": " << done << "\n";
  }
  void note(std::string_view text) override { std::cerr << text << "\n"; }

 private:
  unsigned advances_ = 0;
};

// apt's own downloader, which checks the hash: the product's lives in a module above this one.
void fetch(const store::StoreLayout& store, const std::vector<Artefact>& artefacts, const fs::path& cache) {
  store::PackageStore packages(store);
  Command command{.program = "/usr/lib/apt/apt-helper",
                  .arguments = {"-o", "APT::Sandbox::User=", "download-file"},
                  .environment = host_tool_environment(),
                  .fds = {},
                  .working_directory = {}};
  std::vector<std::string> wanted;
  for (const Artefact& artefact : artefacts) {
    if (packages.contains(artefact.sha256)) continue;
    wanted.push_back(artefact.sha256);
    if (fs::exists(cache / artefact.sha256)) continue;
    command.arguments.insert(
        command.arguments.end(),
        {artefact.url, (cache / (artefact.sha256 + ".new")).string(), "SHA256:" + artefact.sha256});
  }
  if (command.arguments.size() > 3) run_checked(command);
  ensure_directory_at(store.root(), "store/downloads");
  for (const std::string& sha256 : wanted) {
    if (!fs::exists(cache / sha256)) fs::rename(cache / (sha256 + ".new"), cache / sha256);
    fs::copy_file(cache / sha256, fs::path(store.root_path()) / "store/downloads" / (sha256 + ".part"));
  }
  packages.adopt_downloads(wanted);
}

LockFile resolve(Backend& backend, BuildContext& context, const fs::path& cache) {
  LockFile lock;
  apply_policy(lock, context.manifest);
  BaseResolution base = backend.resolve_base(context);
  lock.arch = host_architecture();
  lock.base = base.pin;
  lock.repositories = base.repositories;
  fetch(context.store, backend.base_artefacts(base.pin, base.repositories), cache);
  const Digest layer = backend.build_base(context, base.pin, base.repositories);
  lock.base_image_digest = layer.hex();
  if (!context.manifest.system_packages.empty()) {
    PackageResolution packages =
        backend.resolve_packages(context, layer, context.manifest.system_packages, {}, lock.repositories);
    lock.resolved_packages = packages.packages;
    lock.repositories = packages.repositories;
  }
  seal_identity(lock);
  return lock;
}

// An edited manifest: what is locked stays, what is new is resolved.
void extend(Backend& backend, BuildContext& context, LockFile& lock, const fs::path& cache) {
  fetch(context.store, backend.package_artefacts(lock.resolved_packages, lock.repositories), cache);
  PackageResolution packages =
      backend.resolve_packages(context, Digest::parse(lock.base_image_digest),
                               context.manifest.system_packages, lock.resolved_packages, lock.repositories);
  apply_policy(lock, context.manifest);
  lock.resolved_packages = packages.packages;
  lock.repositories = packages.repositories;
  seal_identity(lock);
}

int build(const std::string& store_path, const std::string& manifest_path, const std::string& lock_path,
          const fs::path& cache) {
  const store::StoreLayout store = store::StoreLayout::open_or_create(store_path);
  const Manifest manifest = load_manifest(manifest_path);
  const auto backend = make_backend(manifest.runtime_backend);
  store::Operation operation = store::Operation::begin(store, store::OpKind::Build, "", {});
  StderrProgress progress;
  BuildContext context{store,    operation,
                       manifest, fs::absolute(manifest_path).parent_path().string(),
                       progress, CancelToken::process()};
  auto known = load_lock(lock_path);
  LockFile lock = known ? *known : resolve(*backend, context, cache);
  std::string base = lock.base_image_digest;
  if (known) {
    if (!store::LayerStore(store).is_laid_out(Digest::parse(base))) {
      fetch(store, backend->base_artefacts(lock.base, lock.repositories), cache);
      base = backend->build_base(context, lock.base, lock.repositories).hex();
    }
    if (compare_intent(lock, manifest).needs_resolution()) extend(*backend, context, lock, cache);
  }
  std::cout << "base " << base << "\n";
  if (!lock.resolved_packages.empty()) {
    fetch(store, backend->package_artefacts(lock.resolved_packages, lock.repositories), cache);
    const Digest layer = backend->build_dependencies(context, Digest::parse(base), lock.resolved_packages);
    std::cout << "dependencies " << layer.hex() << "\n";
  }
  save_lock(lock_path, lock);
  remove_tree_any_owner(store, operation.staging_path());
  operation.finish();
  return 0;
}

}  // namespace
}  // namespace karapace::runtime

int main(int argc, char** argv) {
  if (argc != 5) {
    std::cerr << "usage: build_layers STORE MANIFEST LOCK CACHE\n";
    return 2;
  }
  try {
    return karapace::runtime::build(argv[1], argv[2], argv[3], argv[4]);
  } catch (const karapace::Error& error) {
    std::cerr << "error: " << error.message() << "\nfix: " << error.fix() << "\n";
    return 1;
  }
}
