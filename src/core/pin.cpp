// SPDX-License-Identifier: Apache-2.0
// pin: base.image becomes a name that says which bytes are meant, so that also whoever has only the manifest
// gets these.

#include <fmt/format.h>
#include <sys/stat.h>

#include <filesystem>

#include "build.hpp"
#include "karapace/base/durable.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "karapace/remote/oci_reference.hpp"
#include "karapace/schema/manifest_edit.hpp"
#include "new_file.hpp"

namespace karapace::core {

namespace oci = remote::oci;

namespace {

constexpr std::size_t kMaxShown = 4096;

bool is_pinned(const Manifest& manifest, const runtime::ImageReference& image) {
  return manifest.runtime_backend == "mock" || is_pinned_by_name(image);
}

std::string pinned_name(const runtime::ImageReference& image, const BasePin& pin) {
  if (image.provider == BaseProvider::Oci) {
    const oci::Reference reference = oci::parse_reference(image.reference);
    const std::string tag = reference.tag.empty() ? "" : ":" + reference.tag;
    // The index, where there is one: it means the same for every architecture.
    return fmt::format("{}{}{}@sha256:{}", image.reference.substr(0, image.reference.find(':') + 1),
                       reference.name(), tag, pin.index_sha256.empty() ? pin.sha256 : pin.index_sha256);
  }
  KARAPACE_ASSERT(pin.files.size() == 1);
  return fmt::format("{}#sha256={}", pin.files.front().url, pin.files.front().sha256);
}

void write_manifest(const std::string& path, const std::string& text) {
  // What a symlink leads to, and not the link, is the manifest.
  const std::string real = std::filesystem::canonical(path).string();
  const UniqueFd directory = open_path(directory_of(real), O_RDONLY | O_DIRECTORY);
  const std::string name = real.substr(real.rfind('/') + 1);
  const mode_t mode = stat_fd(open_beneath(directory, name, O_RDONLY | O_NONBLOCK)).st_mode & 0777U;
  writing_to(real, [&] { replace_file(directory, name, text, mode); });
}

/// The same bytes under the name that the manifest has for them now: nothing needs to be resolved or built.
bool follow_name(const BuildInputs& inputs, const Manifest& manifest) {
  if (!inputs.old_lock || inputs.old_lock->base.provider != BaseProvider::Oci) return false;
  LockFile lock = *inputs.old_lock;
  if (!oci::looks_like_reference(manifest.base_image) || !oci::looks_like_reference(lock.base_image))
    return false;
  const oci::Reference named = oci::parse_reference(manifest.base_image);
  const bool same_bytes = named.sha256 == lock.base.sha256 || named.sha256 == lock.base.index_sha256;
  if (named.sha256.empty() || !same_bytes || named.name() != oci::parse_reference(lock.base_image).name())
    return false;
  lock.base_image = manifest.base_image;
  lock.base.distribution = named.str();
  if (!compare_intent(lock, manifest).fits()) return false;
  seal_identity(lock);
  writing_to(inputs.lock_path, [&] { save_lock(inputs.lock_path, lock); });
  return true;
}

}  // namespace

BasePin Build::find_pin() {
  begin();
  try {
    auto build = context();
    BasePin pin = backend_->resolve_base(build).pin;
    images_.reset();
    operation_->finish(engine_.tree_remover());
    progress_.finish();
    return pin;
  } catch (...) {
    images_.reset();
    operation_->undo_now(engine_.tree_remover());
    throw;
  }
}

PinResult Engine::pin(const std::string& manifest_path, const PinOptions& options) {
  const store::StoreLayout* layout = impl_->layout ? &*impl_->layout : nullptr;
  BuildOptions build_options;
  const BuildInputs inputs = read_build_inputs(manifest_path, build_options, impl_->root, layout);
  Manifest manifest = inputs.manifest;
  runtime::ImageReference image;
  if (manifest.runtime_backend != "mock")
    image = runtime::parse_image(manifest.base_image, inputs.manifest_directory);
  PinResult result;
  result.manifest_path = inputs.manifest_path;
  result.base_image = manifest.base_image;
  const bool by_lock_alone = !is_pinned(manifest, image) && is_pinned_by_lock_alone(image);
  if (options.check) {
    const bool locked = inputs.old_lock && compare_intent(*inputs.old_lock, manifest).fits();
    if (!is_pinned(manifest, image) && !(by_lock_alone && locked)) {
      throw unpinned_image(ErrorCode::Conflict, manifest,
                           by_lock_alone ? "karapace pin --write-lock, and commit the lock file" : kPinIt);
    }
    return result;
  }
  if (by_lock_alone && !options.write_lock) {
    throw Error(ErrorCode::Unsupported,
                fmt::format("no name says which bytes of '{}' are meant, only a lock does",
                            printable(manifest.base_image)),
                "karapace pin --write-lock, and commit the lock file");
  }
  if (!is_pinned(manifest, image) && !by_lock_alone) {
    const bool locked = inputs.old_lock && compare_intent(*inputs.old_lock, manifest).fits();
    const BasePin pin = locked ? inputs.old_lock->base : Build(*impl_, build_options, inputs).find_pin();
    result.base_image = pinned_name(image, pin);
    const std::string text = read_all(open_path(inputs.manifest_path, O_RDONLY), kMaxManifestBytes);
    write_manifest(inputs.manifest_path, replace_base_image(text, manifest_path, result.base_image));
    manifest = load_manifest(inputs.manifest_path);
    result.changed = true;
  }
  const bool fits =
      follow_name(inputs, manifest) || (inputs.old_lock && compare_intent(*inputs.old_lock, manifest).fits());
  if (options.write_lock) {
    build_options.update = !fits && inputs.old_lock && compare_intent(*inputs.old_lock, manifest).foreign;
    result.env_id = lock(manifest_path, build_options).env_id;
    result.lock_path = inputs.lock_path;
  } else if (inputs.old_lock && !fits) {
    impl_->progress.note(
        fmt::format("{} is not the lock of this manifest; karapace pin --write-lock makes it",
                    printable(inputs.lock_path, kMaxShown)));
  }
  return result;
}

}  // namespace karapace::core
