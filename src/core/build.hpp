// SPDX-License-Identifier: Apache-2.0
// The build use case. In order: read manifest and lock and decide what is missing (build_inputs), make the
// lock complete (build_lock), make sure that its layers are there (build_layers), then write the lock and
// last the record (build).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "images.hpp"
#include "impl.hpp"
#include "karapace/runtime/backend.hpp"
#include "karapace/schema/lock_file.hpp"
#include "karapace/schema/manifest.hpp"
#include "karapace/store/layer.hpp"
#include "timed_progress.hpp"

namespace karapace::core {

/// What the user asked for, read and checked. Reading it changes nothing.
struct BuildInputs {
  std::string manifest_path;  // absolute
  std::string manifest_directory;
  std::string lock_path;
  Manifest manifest;
  std::optional<LockFile> old_lock;  // verified against itself, not yet against the manifest
  std::optional<std::string> name;   // asked for, or made from the file's name if that is free
  bool name_is_default = false;
  bool replaces = false;  // rebuild: the environment that the manifest had before goes
};
/// Throws InvalidInput for whatever is wrong with manifest, lock, options or name; `layout` may be null (no
/// store yet).
[[nodiscard]] BuildInputs read_build_inputs(const std::string& manifest_path, const BuildOptions& options,
                                            const std::string& store_root, const store::StoreLayout* layout);

/// As fetch and pin write it: the digest of what its packages give is known only when they were installed
/// once.
[[nodiscard]] bool lacks_dependency_layer(const LockFile& lock);

[[nodiscard]] Error unpinned_image(ErrorCode code, const Manifest& manifest, std::string fix);
/// What to do about an image for which there is a name that says which bytes are meant.
inline constexpr const char* kPinIt =
    "karapace pin, or write it: a URL with its checksum, image = "
    "\"https://host/rootfs.tar.xz#sha256=<hex>\", "
    "or an image with its digest, image = \"oci:host/name@sha256:<hex>\"";

/// What of the old lock can be kept.
struct BuildPlan {
  bool resolve_base = false;
  bool resolve_packages = false;
  std::vector<std::string> names;   // packages and apps of the manifest
  std::vector<LockedPackage> keep;  // locked packages whose versions stay if they can
  LockFile lock;                    // old lock with the manifest's policy applied, or an empty one
};
/// Throws InvalidInput where the options forbid what would have to be done (--locked, --offline, foreign
/// lock).
[[nodiscard]] BuildPlan plan_build(const BuildInputs& inputs, const BuildOptions& options);

/// The environment that the manifest had before, if it is another one than `env_id`.
[[nodiscard]] std::optional<store::EnvRecord> find_predecessor(const store::StoreLayout& layout,
                                                               const BuildInputs& inputs,
                                                               const std::string& env_id);
/// Adds the snapshots of one environment to those of another, under the lock of that. CorruptError if some
/// could not be read; the others are there then.
void carry_snapshots(const store::StoreLayout& layout, const std::string& from, const std::string& to);
/// Everything of a user's goes on in the new environment, whose lock the caller holds. Returns the old one to
/// be destroyed, or nothing, if something must stay in it; that has been told.
[[nodiscard]] std::optional<LockedEnvironment> take_over(Engine::Impl& engine, const store::EnvRecord& old,
                                                         const std::string& new_id);

/// Of two that have one identity.
[[nodiscard]] bool is_of_another_manifest(const store::EnvRecord& record, const BuildInputs& inputs);

/// For building layers of an environment again, from what its record keeps.
[[nodiscard]] BuildInputs recorded_inputs(const store::StoreLayout& layout, const store::EnvRecord& record,
                                          LockFile lock);

/// A layer that was built and not published.
struct DescribedLayer {
  Digest hash;
  std::string index;
};

class Build {
 public:
  Build(Engine::Impl& engine, const BuildOptions& options, BuildInputs inputs);
  BuildResult run();
  /// One layer of the lock, whether the store has it or not: what is damaged of it becomes good. For whoever
  /// has the store to himself.
  void build_layer_again(const std::string& layer);
  /// The base or the dependency layer of the lock as it is built now, in a staging directory that is gone
  /// afterwards. `look` is called while the tree is still there, with the directory that it lies in relative
  /// to the store root. The caller has the store's lock.
  using Look = std::function<void(const DescribedLayer& layer, const std::string& tree)>;
  DescribedLayer describe_layer(store::LayerKind kind, const Look& look = {});
  [[nodiscard]] std::uint64_t downloaded_files() const noexcept { return downloaded_files_; }
  [[nodiscard]] std::uint64_t downloaded_bytes() const noexcept { return downloaded_bytes_; }
  /// Only until the lock is complete; writes it.
  LockFile run_lock();
  /// Only until everything is in the store that a build needs from elsewhere.
  FetchResult run_fetch();
  /// Resolves what the lock has once more, and writes nothing.
  OutdatedResult run_outdated();
  /// What the base is now.
  BasePin find_pin();

 private:
  [[nodiscard]] std::optional<BuildResult> try_up_to_date();
  void begin();
  /// --locked: a size that is not that of the file is a lock that was changed.
  void check_locked_sizes();
  /// Offline: throws MissingArtefacts for everything that a build would have to download.
  void check_offline() const;
  [[nodiscard]] std::string how_to_fetch() const;
  void complete_lock();
  void resolve_base();
  void resolve_packages();
  void ensure_base();
  void ensure_dependencies();
  [[nodiscard]] bool layer_ready(const std::string& digest);
  void fetch(const std::vector<runtime::Artefact>& artefacts);
  /// Everything that the base is built from is in the store, and is what the lock says it is.
  void fetch_base();
  void keep_local_archive();
  void download(const std::vector<remote::Download>& missing);
  [[nodiscard]] std::vector<LockedPackage> fetch_what_is_left_of(const std::vector<LockedPackage>& packages);
  void refuse_older(const std::vector<LockedPackage>& locked,
                    const std::vector<LockedPackage>& offered) const;
  [[nodiscard]] runtime::BuildContext context();
  /// Fetches what the layer is made of and builds it on what the lock says.
  [[nodiscard]] Digest make_layer(store::LayerKind kind, std::string* index_only = nullptr);
  /// Runs `body` with a staging directory of its own.
  template <typename Body>
  void in_operation(Body&& body);
  /// Throws LayerDiffers if the layer `found`, which is in the store, is not the expected one.
  void check_reproduced(store::LayerKind kind, const std::string& expected, const Digest& found);
  void check_lock_change();
  void save_lock_file();
  void publish();
  [[nodiscard]] bool takes_name_of(const store::EnvRecord& existing) const;
  /// Throws Conflict where somebody else's decision would be undone: `existing` has the identity of the lock.
  void refuse_other_projects(const std::optional<store::EnvRecord>& existing) const;
  void tell_who_shares(const store::EnvRecord& existing);
  void tell_what_stays(const store::EnvRecord& old);
  bool tell_what_is_stale(FdRef environment);
  void put_record(const store::EnvRecord& record);
  void replace_predecessor();
  void return_to_lock();
  [[nodiscard]] bool stands_on_lock(const store::EnvRecord& record) const;
  [[nodiscard]] store::EnvRecord make_record(std::optional<store::EnvRecord> existing);
  [[nodiscard]] std::vector<std::string> dependency_layers() const;
  [[nodiscard]] BuildResult result(bool up_to_date);

  Engine::Impl& engine_;
  const BuildOptions& options_;
  BuildInputs inputs_;
  BuildPlan plan_;
  std::unique_ptr<runtime::Backend> backend_;
  std::optional<FileLock> store_lock_;
  std::optional<FileLock> env_lock_;
  std::optional<store::Operation> operation_;
  std::optional<Images> images_;
  LockFile lock_;
  std::optional<store::EnvRecord> predecessor_;
  std::string astray_;  // what the environment stood on, if that is not what its lock says
  bool lock_changed_ = false;
  std::uint64_t downloaded_bytes_ = 0;
  std::uint64_t downloaded_files_ = 0;
  TimedProgress progress_;
};

}  // namespace karapace::core
