// SPDX-License-Identifier: Apache-2.0
#include "build.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <utility>

#include "karapace/base/digest.hpp"
#include "karapace/base/durable.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "karapace/core/engine.hpp"
#include "karapace/remote/fetch.hpp"
#include "karapace/schema/identity.hpp"
#include "karapace/store/layer.hpp"
#include "karapace/store/object_store.hpp"
#include "missing_artefacts.hpp"
#include "new_file.hpp"

namespace karapace::core {
namespace {

constexpr std::size_t kMaxShownPath = 4096;

/// A lock that was never built accepts whatever bytes come out: building it would change it.
void require_complete_lock(const BuildInputs& inputs) {
  if (!lacks_dependency_layer(*inputs.old_lock)) return;
  throw Error(ErrorCode::InvalidInput,
              fmt::format("--locked: {} would change, because it does not say yet which dependency layer its "
                          "packages give",
                          printable(inputs.lock_path, kMaxShownPath)),
              fmt::format("build it once with karapace build {} (with --offline, too, after a fetch), and "
                          "commit the lock file",
                          printable(inputs.manifest_path, kMaxShownPath)));
}

}  // namespace

Build::Build(Engine::Impl& engine, const BuildOptions& options, BuildInputs inputs)
    : engine_(engine),
      options_(options),
      inputs_(std::move(inputs)),
      plan_(plan_build(inputs_, options)),
      backend_(runtime::make_backend(inputs_.manifest.runtime_backend)),
      progress_(engine.progress, engine.began) {}

BuildResult Build::run() {
  if (options_.locked) {
    require_complete_lock(inputs_);
    check_locked_sizes();
  }
  if (auto done = try_up_to_date()) return std::move(*done);
  if (options_.offline) check_offline();
  begin();
  try {
    complete_lock();
    refuse_other_projects(store::MetadataStore(*engine_.layout).find(lock_.env_id));
    ensure_dependencies();
    engine_.cancel.check();
    publish();
    progress_.quiet_step("clean up");
    operation_->finish(engine_.tree_remover());
  } catch (...) {
    // Undo at once rather than at the next start: a full disk is given back now.
    images_.reset();
    operation_.reset();
    env_lock_.reset();
    engine_.recover();
    throw;
  }
  if (inputs_.replaces) replace_predecessor();
  env_lock_.reset();
  if (!astray_.empty()) return_to_lock();
  return result(false);
}

void Build::check_locked_sizes() {
  check_sizes(all_artefacts(*backend_, plan_.lock), engine_.layout ? &*engine_.layout : nullptr);
}

LockFile Build::run_lock() {
  begin();
  try {
    complete_lock();
    save_lock_file();
    operation_->finish(engine_.tree_remover());
  } catch (...) {
    images_.reset();
    operation_.reset();
    engine_.recover();
    throw;
  }
  return lock_;
}

void Build::begin() {
  const store::StoreLayout& layout = engine_.open_or_create();
  store_lock_ = layout.lock_shared([&] { engine_.wait_note("a store-wide operation"); });
  // The identity is known only after resolution; until then the manifest's own id names the operation.
  operation_ = store::Operation::begin(layout, store::OpKind::Build,
                                       compute_preliminary_id(inputs_.manifest).str(), {});
  images_.emplace(layout, *operation_, runtime::host_architecture(), progress_, engine_.cancel);
}

/// The answer to most builds: everything is there. Takes no lock, writes nothing, starts no program.
std::optional<BuildResult> Build::try_up_to_date() {
  if (plan_.resolve_base || plan_.resolve_packages || !engine_.layout) return std::nullopt;
  lock_ = plan_.lock;
  seal_identity(lock_);
  if (lock_ != *inputs_.old_lock) return std::nullopt;
  const store::StoreLayout& layout = *engine_.layout;
  const auto record = store::MetadataStore(layout).find(lock_.env_id);
  // A frozen or archived environment that is built again is to be used again.
  if (!record || record->state != store::EnvState::Built) return std::nullopt;
  if (is_of_another_manifest(*record, inputs_)) return std::nullopt;
  // runtime.home is in no lock, and a session takes it from the record.
  if (record->manifest_hash != hash_bytes(manifest_canonical_json(inputs_.manifest)).hex())
    return std::nullopt;
  if (inputs_.name && !inputs_.name_is_default && record->name != inputs_.name) return std::nullopt;
  if (inputs_.name_is_default && !record->name && inputs_.name) return std::nullopt;
  if (!stands_on_lock(*record)) return std::nullopt;
  const store::LayerStore layers(layout);
  if (!layers.is_laid_out(Digest::parse(record->base_layer))) return std::nullopt;
  for (const auto& digest : record->dependency_layers) {
    if (!layers.is_laid_out(Digest::parse(digest))) return std::nullopt;
  }
  inputs_.name = record->name;
  return result(true);
}

runtime::BuildContext Build::context() {
  return {.store = *engine_.layout,
          .operation = *operation_,
          .manifest = inputs_.manifest,
          .manifest_directory = inputs_.manifest_directory,
          .progress = progress_,
          .cancel = engine_.cancel,
          .images = &*images_,
          .index_only = nullptr,
          .fetch = [this](const std::vector<runtime::Artefact>& artefacts) { fetch(artefacts); },
          .adopt =
              [this](FdRef directory, const std::vector<std::string>& sha256s) {
                remote::adopt_files(*engine_.layout, directory, sha256s);
              }};
}

std::vector<std::string> Build::dependency_layers() const {
  if (lock_.dependency_layer.empty()) return {};
  return {lock_.dependency_layer};
}

bool Build::stands_on_lock(const store::EnvRecord& record) const {
  return record.base_layer == lock_.base_image_digest && record.dependency_layers == dependency_layers();
}

void Build::check_lock_change() {
  lock_changed_ = !inputs_.old_lock || !(lock_ == *inputs_.old_lock);
  if (!lock_changed_ || !options_.locked) return;
  throw Error(ErrorCode::InvalidInput,
              fmt::format("--locked: {} would change", printable(inputs_.lock_path, kMaxShownPath)),
              "bring the lock up to date with karapace build, and commit it");
}

void Build::save_lock_file() {
  check_lock_change();
  if (lock_changed_) writing_to(inputs_.lock_path, [&] { save_lock(inputs_.lock_path, lock_); });
}

/// An environment whose record is lost, or that could not be destroyed to its end, left files here. They are
/// a user's: see return_to_lock.
bool Build::tell_what_is_stale(FdRef environment) {
  const auto has_files = [&](const char* name) {
    const auto dir = try_open_beneath(environment, name, O_RDONLY | O_DIRECTORY);
    return dir && !list_directory(*dir).empty();
  };
  const bool home = has_files("home");
  if (home) progress_.note("files of an earlier environment with this id are in its home, and stay there");
  const bool snapshots = exists_at(engine_.layout->store(), "snapshots/" + lock_.env_id);
  if (!has_files("upper")) return home || snapshots;
  astray_ = "files of an earlier environment with this id were found";
  progress_.note(astray_);
  return true;
}

void Build::publish() {
  progress_.part({});
  progress_.quiet_step("publish");
  const store::StoreLayout& layout = *engine_.layout;
  store::MetadataStore metadata(layout);
  env_lock_ = lock_settled(engine_, lock_.env_id, fmt::format("another build of {}", lock_.short_id));
  auto existing = metadata.find(lock_.env_id);
  refuse_other_projects(existing);
  if (existing) tell_who_shares(*existing);
  const UniqueFd environment = open_directory(layout.root(), "env/" + lock_.env_id);
  const bool is_stale = !existing && tell_what_is_stale(environment);
  if (!existing && !is_stale) operation_->add_step({store::WalStep::Kind::RemoveEnvironment, lock_.env_id});
  // The merged root directory takes its mode from the upper one: 0700 here would lock everybody out of "/".
  ensure_directory_at(environment, "upper", 0755);
  for (const char* name : {"work", "home", "run"}) ensure_directory_at(environment, name, 0700);
  // From the beginning: on a full disk, too, it must be possible to lock sessions out and destroy this.
  open_beneath(environment, "run/sessions", O_RDWR | O_CREAT | O_NOFOLLOW, 0600).close();
  sync_directory(environment);

  predecessor_ = find_predecessor(layout, inputs_, lock_.env_id);
  if (predecessor_) {
    if (inputs_.name_is_default && predecessor_->name && !(existing && existing->name)) {
      inputs_.name = predecessor_->name;
      inputs_.name_is_default = false;
    }
    try {
      carry_snapshots(layout, predecessor_->env_id, lock_.env_id);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::Corrupt) throw;
      progress_.note(fmt::format("snapshots stay with {}: {}", predecessor_->short_id, error.message()));
    }
  }
  // A rebuild that dies before it has moved everything finds the old environment through the old lock.
  if (inputs_.replaces && predecessor_) {
    check_lock_change();
  } else {
    save_lock_file();
  }
  // What was archived has no trees of its own.
  if (existing && existing->state == store::EnvState::Archived)
    engine_.ensure_trees(existing->snapshot_layers, existing->ownership);
  put_record(make_record(std::move(existing)));
}

/// An earlier environment of this manifest hands its name on, so that `enter NAME` means the newest build.
void Build::put_record(const store::EnvRecord& record) {
  store::MetadataStore metadata(*engine_.layout);
  auto owner = record.name ? metadata.find_by_name(*record.name) : std::nullopt;
  const bool hands_on = owner && owner->env_id != record.env_id &&
                        (owner->manifest_path == inputs_.manifest_path ||
                         (inputs_.old_lock && owner->env_id == inputs_.old_lock->env_id));
  if (!hands_on) return metadata.put(record);
  const FileLock lock = lock_beside(engine_, *owner, record.env_id);
  operation_->add_step({store::WalStep::Kind::DropName, owner->env_id});
  metadata.put_taking_name(record, owner->env_id);
  const bool goes = inputs_.replaces && predecessor_ && predecessor_->env_id == owner->env_id;
  if (!goes) tell_what_stays(*owner);
}

void Build::replace_predecessor() {
  if (!predecessor_) return;
  const std::optional<LockedEnvironment> old = take_over(engine_, *predecessor_, lock_.env_id);
  save_lock_file();
  if (old) destroy_locked(engine_, *old);
}

/// What is in the upper directory lies on other layers than those of the lock: it is kept as a snapshot.
void Build::return_to_lock() {
  LockedEnvironment locked =
      lock_idle_environment(engine_, *store::MetadataStore(*engine_.layout).find(lock_.env_id), "build");
  const CommitResult saved =
      commit_locked(engine_, locked, {store::SnapshotKind::Safety, "before going back to the lock"});
  store::EnvRecord record = locked.record;
  record.base_layer = lock_.base_image_digest;
  record.dependency_layers = dependency_layers();
  record.snapshot_layers.clear();
  record.head.reset();
  record.updated_at = next_update_time(record);
  if (is_upper_clean(*engine_.layout, record)) {
    store::MetadataStore(*engine_.layout).put(record);
  } else {
    replace_upper(engine_, locked, std::move(record));
  }
  progress_.note(fmt::format(
      "{}; it has the layers of its lock again{}", astray_,
      saved.changed ? ", and what was not committed is snapshot " + saved.snapshot->id.substr(0, 12)
                    : std::string()));
}

store::EnvRecord Build::make_record(std::optional<store::EnvRecord> existing) {
  store::ObjectStore objects(*engine_.layout);
  const std::string time = format_rfc3339(now());
  store::EnvRecord record = existing ? std::move(*existing) : store::EnvRecord{};
  if (record.created_at.empty()) record.created_at = time;
  if (!record.name || !inputs_.name_is_default) record.name = inputs_.name;
  inputs_.name = record.name;
  record.env_id = lock_.env_id;
  record.short_id = lock_.short_id;
  const bool was_archived_frozen = std::exchange(record.archived_frozen, false);
  if (record.state == store::EnvState::Frozen || was_archived_frozen)
    progress_.note("it was frozen and can be written to again");
  record.state = store::EnvState::Built;
  record.manifest_hash = objects.put(manifest_canonical_json(inputs_.manifest)).hex();
  record.lock_hash = objects.put(serialize_lock(lock_)).hex();
  if (!record.base_layer.empty() && !stands_on_lock(record)) {
    // Not under a session, and not without what was written: see return_to_lock.
    astray_ = fmt::format("{} stood on the layers of snapshot {}", record.short_id,
                          record.head.value_or("none").substr(0, 12));
  } else {
    record.base_layer = lock_.base_image_digest;
    record.dependency_layers = dependency_layers();
  }
  record.ownership = std::string(to_string(lock_.ownership));
  record.manifest_path = inputs_.manifest_path;
  record.updated_at = time;
  return record;
}

BuildResult Build::result(bool up_to_date) {
  BuildResult result;
  result.env_id = lock_.env_id;
  result.short_id = lock_.short_id;
  result.name = inputs_.name;
  result.lock_path = inputs_.lock_path;
  result.up_to_date = up_to_date;
  result.lock_changed = lock_changed_;
  result.downloaded_bytes = downloaded_bytes_;
  result.downloaded_files = downloaded_files_;
  result.base_layer = lock_.base_image_digest;
  result.dependency_layers = dependency_layers();
  result.timings = progress_.finish();
  result.notes = progress_.notes();
  return result;
}

BuildResult Engine::build(const std::string& manifest_path, const BuildOptions& options) {
  const store::StoreLayout* layout = impl_->layout ? &*impl_->layout : nullptr;
  return Build(*impl_, options, read_build_inputs(manifest_path, options, impl_->root, layout)).run();
}

LockFile Engine::lock(const std::string& manifest_path, const BuildOptions& options) {
  const store::StoreLayout* layout = impl_->layout ? &*impl_->layout : nullptr;
  return Build(*impl_, options, read_build_inputs(manifest_path, options, impl_->root, layout)).run_lock();
}

}  // namespace karapace::core
