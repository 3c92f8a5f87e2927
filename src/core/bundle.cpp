// SPDX-License-Identifier: Apache-2.0
// bundle export and import: a manifest, its lock and every file that the lock names, in one file that needs
// no network at the other end.

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>

#include "build.hpp"
#include "bundle_header.hpp"
#include "karapace/base/durable.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "karapace/remote/fetch.hpp"
#include "karapace/runtime/worker.hpp"
#include "karapace/store/object_store.hpp"
#include "missing_artefacts.hpp"
#include "new_file.hpp"

namespace karapace::core {
namespace {

constexpr std::size_t kMaxShownPath = 4096;

using WorkerFiles = std::vector<runtime::TreeWorker::BundleFile>;

WorkerFiles for_worker(const std::vector<NamedFile>& files) {
  WorkerFiles result;
  for (const NamedFile& file : files) result.push_back({file.sha256, file.size, file.label});
  return result;
}

std::uint64_t total_size(const std::vector<NamedFile>& files) {
  std::uint64_t total = 0;
  for (const NamedFile& file : files) total += file.size;
  return total;
}

/// Those that the store lacks are told all at once.
void require_files(const BuildInputs& inputs, const std::vector<NamedFile>& files,
                   const store::StoreLayout* layout) {
  std::vector<runtime::Artefact> wanted;
  for (const NamedFile& file : files) wanted.push_back({file.label, {}, file.sha256, file.size});
  auto missing = not_in_store(std::move(wanted), layout);
  if (missing.empty()) return;
  throw MissingArtefacts(
      ErrorCode::InvalidInput, "the bundle would not be complete", std::move(missing),
      fmt::format("karapace fetch --locked {}", printable(inputs.manifest_path, kMaxShownPath)));
}

BundleHeader make_header(const BuildInputs& inputs, const store::StoreLayout* layout) {
  BundleHeader header;
  header.name = inputs.manifest_path.substr(inputs.manifest_path.rfind('/') + 1);
  header.manifest = read_all(open_path(inputs.manifest_path, O_RDONLY | O_NONBLOCK), kMaxManifestBytes);
  header.lock = serialize_lock(*inputs.old_lock);
  header.files = files_of_lock(*inputs.old_lock);
  require_files(inputs, header.files, layout);
  if (header.files.empty()) return header;
  const store::PackageStore packages(*layout);
  for (NamedFile& file : header.files)
    file.size = static_cast<std::uint64_t>(stat_fd(*packages.open(file.sha256)).st_size);
  return header;
}

/// Where `import --into` writes: both files are new, or have these very contents already.
struct Destination {
  std::string directory;
  std::string manifest_name;
  std::string lock_name;
};

void check_destination(const Destination& to, const BundleHeader& header) {
  UniqueFd directory;
  try {
    directory = open_path(to.directory, O_RDONLY | O_DIRECTORY);
  } catch (Error& error) {
    error.set_fix("make that directory first, or name another with --into");
    throw;
  }
  const auto check = [&](const std::string& name, const std::string& content, std::size_t limit) {
    const auto there = try_read_file_at(directory, name, limit);
    if (!there || *there == content) return;
    throw Error(ErrorCode::AlreadyExists,
                fmt::format("{}/{} is there already, and is not the one of the bundle", to.directory, name),
                "name another directory with --into");
  };
  check(to.manifest_name, header.manifest, kMaxManifestBytes);
  check(to.lock_name, header.lock, kMaxLockBytes);
}

void write_destination(const Destination& to, const BundleHeader& header) {
  const UniqueFd directory = open_path(to.directory, O_RDONLY | O_DIRECTORY);
  writing_to(to.directory + "/" + to.manifest_name, [&] {
    replace_file(directory, to.manifest_name, header.manifest, 0644);
    replace_file(directory, to.lock_name, header.lock, 0644);
  });
}

void check_expected_lock(const LockFile& lock, const std::string& path) {
  const auto expected = load_lock(path);
  if (!expected) {
    throw Error(ErrorCode::NotFound, fmt::format("there is no lock file {}", printable(path)),
                "name the lock file that the bundle must have");
  }
  verify_integrity(*expected, path);
  if (*expected == lock) return;
  throw Error(ErrorCode::InvalidInput,
              fmt::format("the bundle has another lock than {}: {} instead of {}", printable(path),
                          lock.short_id, expected->short_id),
              "ask for a bundle of this lock: karapace bundle export FILE");
}

/// Whoever names a lock trusts that lock and not the bundle, and runtime.home is not in the lock: the
/// manifest must not open the user's own home to the environment. One that lies there already is the user's.
void check_home(const OpenedBundle& bundle, const Destination& to) {
  if (bundle.manifest.home != Home::Shared) return;
  const UniqueFd directory = open_path(to.directory, O_RDONLY | O_DIRECTORY);
  if (try_read_file_at(directory, to.manifest_name, kMaxManifestBytes) == bundle.header.manifest) return;
  throw Error(
      ErrorCode::InvalidInput,
      "the manifest of the bundle has runtime.home = \"shared\", which gives the environment your own "
      "home, and a lock does not vouch for that",
      fmt::format("if you trust that manifest, too: put it at {}/{} first; or import without --into",
                  printable(to.directory, kMaxShownPath), to.manifest_name));
}

UniqueFd open_bundle(const std::string& path) {
  try {
    return open_path(path, O_RDONLY | O_NONBLOCK);
  } catch (Error& error) {
    if (error.code() == ErrorCode::NotFound) error.set_fix("name the file that karapace bundle export made");
    throw;
  }
}

}  // namespace

BundleResult Engine::export_bundle(const std::string& manifest_path, const std::string& output) {
  const store::StoreLayout* layout = impl_->layout ? &*impl_->layout : nullptr;
  BuildOptions options;
  options.locked = true;
  const BuildInputs inputs = read_build_inputs(manifest_path, options, impl_->root, layout);
  static_cast<void>(plan_build(inputs, options));
  // What gc frees must not go while it is read.
  std::optional<FileLock> lock;
  if (layout != nullptr) lock = layout->lock_shared([&] { impl_->wait_note("a store-wide operation"); });
  const BundleHeader header = make_header(inputs, layout);

  BundleResult result;
  result.env_id = inputs.old_lock->env_id;
  result.path = absolute_path(output);
  result.files = header.files.size();
  result.bytes = total_size(header.files);
  if (lacks_dependency_layer(*inputs.old_lock)) {
    impl_->progress.note(fmt::format(
        "{} does not say which dependency layer its packages give: build --locked will refuse it; karapace "
        "build adds that",
        printable(inputs.lock_path, kMaxShownPath)));
  }
  impl_->progress.step("export", counted(result.files, "file"));
  write_new_file(result.path, [&](FdRef file) {
    write_all(file, encode_bundle_header(header));
    if (!header.files.empty()) {
      runtime::TreeWorker(*layout, Ownership::Flat)
          .write_bundle(for_worker(header.files), file, impl_->progress, impl_->cancel);
    }
  });
  return result;
}

BundleResult Engine::import_bundle(const std::string& path, const BundleImportOptions& options) {
  const UniqueFd file = open_bundle(path);
  const OpenedBundle bundle = read_bundle_header(file, path);
  if (!options.expected_lock.empty()) check_expected_lock(bundle.lock, options.expected_lock);
  const std::string lock_name = lock_path_for(bundle.header.name);
  const Destination to{options.into, bundle.header.name, lock_name};
  if (!options.into.empty()) check_destination(to, bundle.header);
  if (!options.into.empty() && !options.expected_lock.empty()) check_home(bundle, to);

  const store::StoreLayout& layout = impl_->open_or_create();
  const FileLock lock = layout.lock_shared([&] { impl_->wait_note("a store-wide operation"); });
  store::Operation operation = store::Operation::begin(layout, store::OpKind::Pull, bundle.lock.env_id, {});
  BundleResult result;
  result.env_id = bundle.lock.env_id;
  result.path = absolute_path(path);
  result.files = bundle.header.files.size();
  result.bytes = total_size(bundle.header.files);
  try {
    std::vector<std::string> names;
    const store::PackageStore packages(layout);
    for (const NamedFile& each : bundle.header.files) {
      names.push_back(each.sha256);
      if (!packages.contains(each.sha256)) ++result.added_files;
    }
    impl_->progress.step("import", counted(result.files, "file"));
    if (!names.empty()) {
      // All of them are read and checked before the first one gets a name that others find.
      runtime::TreeWorker(layout, Ownership::Flat)
          .read_bundle(file, bundle.files_begin, for_worker(bundle.header.files), operation.staging_path(),
                       impl_->progress, impl_->cancel);
      remote::adopt_files(layout, operation.staging(), names);
    }
    if (!options.into.empty()) write_destination(to, bundle.header);
    operation.finish(impl_->tree_remover());
  } catch (...) {
    operation.undo_now(impl_->tree_remover());
    throw;
  }
  return result;
}

}  // namespace karapace::core
