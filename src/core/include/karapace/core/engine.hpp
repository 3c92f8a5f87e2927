// SPDX-License-Identifier: Apache-2.0
// The list of what Karapace can do. One file per use case beside this header's implementation.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "karapace/base/cancel.hpp"
#include "karapace/base/progress.hpp"
#include "karapace/runtime/backend.hpp"
#include "karapace/runtime/package_owners.hpp"
#include "karapace/runtime/session.hpp"
#include "karapace/schema/lock_file.hpp"
#include "karapace/schema/manifest.hpp"
#include "karapace/store/disk_use.hpp"
#include "karapace/store/gc.hpp"
#include "karapace/store/integrity.hpp"
#include "karapace/store/metadata.hpp"
#include "karapace/store/repair.hpp"
#include "karapace/store/snapshot_log.hpp"
#include "karapace/store/tree_diff.hpp"

namespace karapace::core {

struct BuildOptions {
  std::optional<std::string> name;
  bool locked = false;   // fail if the lock would change
  bool offline = false;  // open no socket
  bool require_pinned_image =
      false;            // base.image must name its bytes: URL with sha256, digest, or local with lock
  bool update = false;  // --update: resolve anew
  std::vector<std::string> update_packages;  // --update PKG...: only these (and what they need)
};

struct StepTime {
  std::string step;  // docs/cli-stability.md has the list
  std::string part;  // "base" or "packages"; empty: of the whole build
  std::chrono::milliseconds time;
};
struct BuildResult {
  std::string env_id;
  std::string short_id;
  std::optional<std::string> name;
  std::string lock_path;
  bool up_to_date = false;  // nothing had to be done
  bool lock_changed = false;
  std::uint64_t downloaded_bytes = 0;
  std::uint64_t downloaded_files = 0;
  std::string base_layer;
  std::vector<std::string> dependency_layers;
  std::vector<std::string> notes;  // what the progress was told, e.g. who else has this environment
  std::vector<StepTime> timings;   // since the engine was made; together they are the whole time
};

struct FetchResult {
  std::string env_id;
  std::string lock_path;
  bool lock_changed = false;
  std::uint64_t files = 0;  // that the lock names
  std::uint64_t bytes = 0;  // of these, as far as the lock knows
  std::uint64_t downloaded_files = 0;
  std::uint64_t downloaded_bytes = 0;
};

struct BundleResult {
  std::string env_id;
  std::string path;  // absolute
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;        // of the files
  std::uint64_t added_files = 0;  // import: those that the store did not have
};
struct BundleImportOptions {
  std::string expected_lock;  // a lock file that the bundle's must be equal to; empty: any
  std::string into;           // a directory for manifest and lock; empty: only the store changes
};

/// One thing that a new resolution would move.
struct OutdatedItem {
  std::string kind;  // "package", "base-package", or "base" for one that does not consist of packages
  std::string name;  // of the package, or the image
  std::string arch;
  std::string locked;     // version; empty: it is new
  std::string available;  // version; empty: it goes
  std::string locked_sha256;
  std::string available_sha256;
  bool older = false;  // what is available is older than what is locked, and build --update would refuse it
};
struct OutdatedResult {
  std::string env_id;
  std::string lock_path;
  std::vector<OutdatedItem> items;  // the base first, then by name
};

struct PinOptions {
  bool check = false;
  bool write_lock = false;
};
struct PinResult {
  std::string manifest_path;  // absolute
  std::string base_image;
  bool changed = false;   // the manifest was written
  std::string lock_path;  // empty unless the lock was asked for
  std::string env_id;
};

/// A build that may not or cannot download what it lacks.
class MissingArtefacts : public Error {
 public:
  /// The message begins with `cause` and names all of them.
  MissingArtefacts(ErrorCode code, std::string_view cause, std::vector<runtime::Artefact> missing,
                   std::string fix);
  [[nodiscard]] const std::vector<runtime::Artefact>& missing() const noexcept { return missing_; }

 private:
  std::vector<runtime::Artefact> missing_;
};

/// A path at which a layer is not what it should be.
struct FileDifference {
  store::TreeChange change;             // what the layer that was found has added, modified or removed
  std::optional<runtime::Owner> owner;  // nothing: nobody knows
};
struct LayerComparison {
  store::LayerKind kind = store::LayerKind::Base;
  std::string expected;  // digests
  std::string found;
  std::vector<FileDifference> differences;
  bool with_expected = true;  // false: the store cannot tell, these are what changes from build to build
};

/// The same inputs gave another layer.
class LayerDiffers : public Error {
 public:
  /// The message is `cause` and the first of the differences.
  LayerDiffers(std::string_view cause, LayerComparison comparison, std::string fix);
  [[nodiscard]] const LayerComparison& comparison() const noexcept { return comparison_; }

 private:
  LayerComparison comparison_;
};

struct VerifyEnvOptions {
  bool rebuild = false;   // compare with what the lock gives now, not with what is on the disk
  std::string keep = {};  // --rebuild: directory for both versions of files that differ; empty: none
};
struct EnvVerification {
  std::vector<LayerComparison> layers;  // base first
  std::uint64_t downloaded_files = 0;
  std::uint64_t downloaded_bytes = 0;
  [[nodiscard]] bool identical() const;
};

struct SessionOptions {
  std::vector<std::string> command;  // empty: login shell
  bool as_root = false;
  bool want_terminal = false;
};

/// A record with the state as it is now: Running if sessions live.
struct EnvironmentView {
  store::EnvRecord record;
  store::EnvState state = store::EnvState::Defined;
  pid_t holder_pid = 0;
};
struct EnvironmentList {
  std::vector<EnvironmentView> environments;  // sorted by env_id
  std::vector<store::BadRecord> bad;
};

/// What is not in a record.
struct EnvironmentDetails {
  std::optional<store::DiskUse> use;  // nothing: something of it cannot be looked at
  /// Base and packages are those of its lock. False after a snapshot of other ones was restored, until the
  /// next build. Nothing: there is no lock to be read.
  std::optional<bool> follows_lock;
};

struct DestroyResult {
  std::string env_id;
  std::optional<std::string> name;
};

struct CommitResult {
  bool changed = false;                           // false: nothing was written since the last commit, or ever
  std::optional<store::SnapshotRecord> snapshot;  // what was made
  std::optional<std::string> head;                // the snapshot that the environment stands on now
};
struct ExportOptions {
  bool delta = false;  // only what the snapshot changed
};
struct ExportResult {
  std::string path;  // absolute
  bool is_archive = false;
  std::optional<std::string> env_id;  // what it was: one of both
  std::optional<std::string> snapshot;
};
struct RestoreOptions {
  bool discard = false;  // lose what was not committed, instead of keeping it in a snapshot of its own
};
struct RestoreResult {
  store::SnapshotRecord snapshot;
  std::optional<std::string> safety;  // id of the snapshot that keeps what was not committed
  std::optional<bool> follows_lock;   // as in EnvironmentDetails
};

struct StateChange {
  EnvironmentView environment;
  bool changed = false;  // false: it was in that state already
};

enum class GcMode { DryRun, Collect };
struct GcOptions {
  GcMode mode = GcMode::DryRun;
  bool discard_lost = false;  // also what a user wrote in environments whose record is gone
};
struct GcReport {
  store::GcPlan plan;
  store::GcResult removed;  // nothing after a dry run
};

struct RepairReport {
  std::vector<store::Repaired> repaired;
  store::IntegrityReport left;  // how the store is now
};

struct DoctorCheck {
  std::string name;
  std::string status;  // "pass", "fail", "warn", "info"
  std::string message;
  std::string fix;  // may be empty
};
struct DoctorReport {
  std::vector<DoctorCheck> checks;
  bool healthy = true;
};

/// What a reference to a lock led to.
struct LockSource {
  enum class Kind { Environment, Lock, Manifest };
  Kind kind = Kind::Environment;
  std::string label;  // name or short id of the environment; the file as given
  LockFile lock;      // of a manifest: schema's unresolved_lock
};
[[nodiscard]] std::string_view to_string(
    LockSource::Kind kind) noexcept;  // "environment", "lock", "manifest"

enum class Access {
  Read,   // creates nothing, waits for nothing, works on a read-only store
  Write,  // creates the store if missing and recovers what a crash left
};

/// An engine bound to one store. Throws karapace::Error; Cancelled when the token fires.
/// Not for several threads at once; several engines (processes) on one store are fine.
class Engine {
 public:
  /// `store_root` is absolute. Access::Read on a missing store behaves like an empty one.
  Engine(std::string store_root, Access access, ProgressSink& progress, CancelToken& cancel);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// A record in state Defined for a manifest that was never resolved; writes no lock.
  EnvironmentView init(const std::string& manifest_path);
  /// Resolves and writes the lock, builds nothing but what resolution needs (the base).
  LockFile lock(const std::string& manifest_path, const BuildOptions& options);
  /// An environment with a new id gets the snapshots of the one that this manifest had before, which stays.
  /// One that stands on other layers than its lock says (restore) gets those of the lock back; what was not
  /// committed is kept as a snapshot.
  /// Brings every file that the manifest's lock names into the store, so that a build needs no network.
  /// Resolves first if the lock does not fit, unless `options` forbid it.
  FetchResult fetch(const std::string& manifest_path, const BuildOptions& options);
  /// Writes manifest, lock and every file that the lock names to one file. The lock must fit the manifest and
  /// the files must be in the store (MissingArtefacts); nobody's file is replaced.
  BundleResult export_bundle(const std::string& manifest_path, const std::string& output);
  /// Brings the files of a bundle into the store. Everything in it is checked against its lock before any of
  /// it can be found. Throws InvalidInput if something is not what it should be.
  BundleResult import_bundle(const std::string& path, const BundleImportOptions& options);
  /// What `update` would move in the lock, which must fit the manifest. Network; changes no lock.
  OutdatedResult outdated(const std::string& manifest_path);
  /// Gives base.image a name that says which bytes are meant: those of a lock that fits, else of what the
  /// name means now. Conflict if `check` is given and it has none; Unsupported if there is none.
  PinResult pin(const std::string& manifest_path, const PinOptions& options);
  /// Throws MissingArtefacts before anything is changed if it is offline and files are missing.
  BuildResult build(const std::string& manifest_path, const BuildOptions& options);
  /// Builds first; the environment this manifest had before gives its name, home and snapshots to the new
  /// one, what was not committed as one more snapshot, and is then destroyed.
  BuildResult rebuild(const std::string& manifest_path, const BuildOptions& options);

  /// By 64-digit id, short id, unique prefix of 4 or more, or name. An empty reference means the manifest
  /// "karapace.toml" in the current directory (through its lock). Throws NotFound with suggestions,
  /// InvalidInput if ambiguous.
  [[nodiscard]] EnvironmentView find_environment(std::string_view reference) const;
  [[nodiscard]] EnvironmentList list() const;
  /// By id; `only` is a whole id, empty: all. Reads every index of the store: see store/disk_use.hpp.
  [[nodiscard]] std::map<std::string, EnvironmentDetails> details(const std::string& only = {}) const;

  /// "X.lock" is a lock file, "X.toml" or anything with a slash a manifest, everything else an environment.
  /// The lock is verified against itself. Throws NotFound, ManifestError.
  [[nodiscard]] LockSource find_lock(std::string_view reference) const;

  /// For enter and exec. The caller then calls runtime::become_session or spawn_session with the store below.
  [[nodiscard]] runtime::PreparedSession prepare_session(const EnvironmentView& environment,
                                                         const SessionOptions& options);
  [[nodiscard]] const store::StoreLayout& store() const;

  runtime::StopResult stop(const EnvironmentView& environment, std::chrono::milliseconds grace);
  DestroyResult destroy(const EnvironmentView& environment);
  EnvironmentView rename(const EnvironmentView& environment, const std::string& new_name);

  /// Seals what was written in the environment as a layer of its own; the environment goes on above it.
  /// Conflict while a session is open.
  CommitResult commit(const EnvironmentView& environment, const std::string& message);
  /// Makes the environment what it was at a snapshot, given by id, a unique beginning of 4 or more digits, or
  /// the digest of its layer; also base and packages, if it was taken on others. Conflict while a session is
  /// open.
  RestoreResult restore(const EnvironmentView& environment, std::string_view snapshot,
                        const RestoreOptions& options);
  /// Writes what an environment or a snapshot shows to a directory, or to an archive if `output` ends in
  /// .tar.
  ExportResult export_tree(std::string_view reference, const std::string& output,
                           const ExportOptions& options);
  /// What was written since the environment was built, committed or restored. Changes nothing, also while it
  /// runs.
  [[nodiscard]] std::vector<store::TreeChange> diff(const EnvironmentView& environment) const;
  /// Oldest first, as SnapshotLog::visit() has it.
  void visit_snapshots(const EnvironmentView& environment, store::Stacks stacks,
                       const store::SnapshotVisitor& visitor) const;

  /// Built <-> Frozen. Sessions in a frozen environment cannot write to it. Conflict while one is open.
  StateChange freeze(const EnvironmentView& environment);
  StateChange thaw(const EnvironmentView& environment);
  /// Keeps an environment as objects only: what was written in it becomes a snapshot, trees that nothing else
  /// needs go. Conflict while a session is open.
  StateChange archive(const EnvironmentView& environment);
  /// Lays everything out again; Built afterwards.
  StateChange unarchive(const EnvironmentView& environment);

  /// Frees what no environment and no snapshot needs. Collect waits for the store to itself; DryRun takes no
  /// lock and works with Access::Read.
  GcReport gc(const GcOptions& options);
  /// NotFound without a store, CorruptError if there is one that lost its version; so is repair_store.
  [[nodiscard]] store::IntegrityReport verify_store();
  /// Compares the layers of the environment's lock with their trees, or with layers that are built from the
  /// same lock beside them. Neither changes the environment; package files that had to be downloaded stay in
  /// the store. Conflict if the environment is archived or stands on layers of another lock.
  EnvVerification verify_environment(const EnvironmentView& environment, const VerifyEnvOptions& options);
  /// Verifies, heals what has a source (a tree, objects, an artefact's URL in a lock), and verifies again
  /// until nothing more can be healed. Waits for the store to itself.
  RepairReport repair_store();
  [[nodiscard]] DoctorReport doctor();

  struct Impl;  // shared by the use cases, see impl.hpp

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace karapace::core
