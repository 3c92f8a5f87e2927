// SPDX-License-Identifier: Apache-2.0
// Mark from the roots, then list what was not marked. The roots are every environment's record and every
// snapshot. What cannot be read may name anything: then everything it might name is marked, and the reason
// goes into the plan. See docs/store-spec.md, "Collection".
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <unordered_set>

#include "inode_count.hpp"
#include "karapace/base/durable.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "karapace/store/gc.hpp"
#include "karapace/store/index_stream.hpp"
#include "karapace/store/layer.hpp"
#include "karapace/store/metadata.hpp"
#include "karapace/store/object_store.hpp"
#include "karapace/store/snapshot_heads.hpp"
#include "karapace/store/snapshot_log.hpp"
#include "lost_check.hpp"
#include "undo.hpp"
#include "wal_entry.hpp"

namespace karapace::store {
namespace {

constexpr int kReadFile = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;
constexpr const char* kDamageFix = "karapace verify-store --repair heals what has a source";

/// "<sha256>.part"; locks of the downloader lie there, too.
bool is_part(std::string_view name) {
  constexpr std::string_view kSuffix = ".part";
  return name.ends_with(kSuffix) && Digest::is_valid(name.substr(0, name.size() - kSuffix.size()));
}
bool is_temporary(std::string_view name) { return name.starts_with(kTemporaryPrefix); }

/// True if somebody has the lock: a session, or an operation.
bool is_locked(FdRef dir, const std::string& path) {
  try {
    std::optional<UniqueFd> file = try_open_beneath(dir, path, kReadFile);
    return file && S_ISREG(stat_fd(*file).st_mode) &&
           !FileLock::try_acquire(std::move(*file), LockMode::Exclusive);
  } catch (const SystemError&) {
    return false;  // a link or something else that nobody of ours has locked
  }
}

enum class Scope { All, Trees };

class Planner {
 public:
  Planner(const StoreLayout& layout, const GcRoots& roots, Scope scope, ProgressSink& progress,
          const CancelToken& cancel)
      : layout_(layout),
        roots_(roots),
        scope_(scope),
        progress_(progress),
        cancel_(cancel),
        objects_(layout) {}

  GcPlan run() {
    progress_.step("gc", "what is needed");
    mark_journal();
    mark_records();
    mark_lost_environments();
    mark_snapshots();
    mark_layers();
    progress_.step("gc", "what is not");
    sweep_environments();
    if (scope_ == Scope::Trees) {
      sweep_trees();
      return std::move(plan_);
    }
    sweep_builds();
    sweep_packages();
    sweep_downloads();
    sweep_layers();
    sweep_trees();
    sweep_objects();
    sweep_leftovers();
    plan_.bytes = inodes_.bytes();
    return std::move(plan_);
  }

 private:
  // --- what is needed

  /// Nothing about layers can be proven: they stay, with trees, objects, artefacts and build records.
  void hold_layers(std::string what, std::string reason, std::string fix, bool damage = true) {
    keep_layers_ = keep_objects_ = true;
    plan_.holds.push_back({std::move(what), std::move(reason), std::move(fix), damage});
  }
  void hold_objects(std::string what, std::string reason) {
    keep_objects_ = true;
    plan_.holds.push_back({std::move(what), std::move(reason), kDamageFix, true});
  }

  /// With the store to ourselves and after recovery the journal is empty, but for what could not be undone
  /// yet and what was set aside.
  void mark_journal() {
    const UniqueFd wal = layout_.open_dir("store/wal");
    for (const DirectoryEntry& entry : list_directory(wal)) {
      if (is_temporary(entry.name)) continue;
      const std::string path = "store/wal/" + printable(entry.name);
      if (entry.name == "corrupt") {
        const auto corrupt = try_open_beneath(wal, entry.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        if (!corrupt || list_directory(*corrupt).empty()) continue;
        hold_layers(path, "damaged journal entries were set aside there; what they were about may be needed",
                    "look at them and at karapace verify-store, then remove that directory");
      } else if (is_locked(wal, entry.name)) {
        hold_layers(path, "an operation is running", "run gc again when it has ended", false);
      } else {
        hold_layers(path, "an operation was interrupted and could not be undone yet",
                    "stop the sessions of its environment and run gc again", false);
      }
    }
    const UniqueFd staging = layout_.staging();
    for (const DirectoryEntry& entry : list_directory(staging)) {
      if (exists_at(wal, wal_file_name(entry.name)) || !has_switch_plan(staging, entry.name)) continue;
      hold_layers(
          "store/staging/" + printable(entry.name),
          "the journal entry of an unfinished commit or restore is lost, and what a user wrote may be here",
          "save what is in it, then remove that directory");
    }
  }

  void mark_records() {
    const RecordList list = MetadataStore(layout_).list();
    for (const BadRecord& bad : list.bad) {
      known_.insert(bad.file);
      hold_layers("store/metadata/" + printable(bad.file), bad.reason,
                  "bring the file back from a backup; or, if the environment is lost, remove it");
    }
    for (const EnvRecord& record : list.records) {
      known_.insert(record.env_id);
      heads_.expect(record);
      const bool archived = record.state == EnvState::Archived;
      for (const std::string& layer : layer_stack(record)) need_layer(layer, !archived);
      if (record.policy_layer) need_layer(*record.policy_layer, !archived);
      if (archived) archived_.insert(record.env_id);
      need_object(record.manifest_hash);
      need_object(record.lock_hash);
    }
  }

  void mark_snapshots() {
    const SnapshotLog log(layout_);
    std::vector<BadRecord> strangers;
    for (const std::string& env_id : log.environments(&strangers)) {
      if (!known_.contains(env_id) && !lost_.contains(env_id)) continue;  // of one that is gone
      try {
        const SnapshotList list = log.read(env_id);
        heads_.found(env_id, list);
        for (const BadRecord& bad : list.bad)
          hold_layers("store/snapshots/" + env_id, fmt::format("{}: {}", bad.file, bad.reason),
                      "bring the file back from a backup; or destroy the environment");
        for (const SnapshotRecord& snapshot : list.snapshots) {
          for (const std::string& layer : snapshot.layers) need_layer(layer, !archived_.contains(env_id));
          need_layer(snapshot.layer, false);
        }
      } catch (const Error& error) {
        heads_.unreadable(env_id);
        hold_layers("store/snapshots/" + env_id, error.message(),
                    "bring the file back from a backup; or destroy the environment");
      }
    }
    for (const auto& [env_id, head] : heads_.missing())
      hold_layers(
          "store/snapshots/" + env_id, SnapshotHeads::reason(head),
          "bring the file back from a backup; or give up what is not in it: karapace commit begins anew");
    for (const BadRecord& bad : strangers)
      hold_layers("store/snapshots/" + printable(bad.file), bad.reason, "move it out of the store");
  }

  void need_layer(const std::string& layer, bool laid_out) {
    if (layer.empty()) return;
    live_layers_.insert(layer);
    if (laid_out) mounted_.insert(layer);
  }
  void need_object(const std::string& object) {
    if (!object.empty()) need_object(Digest::parse(object));
  }

  void need_object(const Digest& object) {
    if (scope_ == Scope::All) live_objects_.insert(object);
  }

  /// Everything a live layer is made of. If that cannot be told, no object can be proven unreferenced.
  void mark_layers() {
    const LayerStore layers(layout_);
    for (const std::string& name : live_layers_) {
      cancel_.check();
      if (scope_ == Scope::Trees && mounted_.contains(name)) continue;  // its tree stays in any case
      // The index is found without the record: both have one name.
      need_object(Digest::parse(name));
      try {
        const std::optional<LayerRecord> record = layers.find(Digest::parse(name));
        if (!record) throw Error(ErrorCode::NotFound, "the record of a layer in use is missing");
        need_object(record->mtimes_object);
        bool whole = objects_.contains(record->mtimes_object);
        const UniqueFd index = objects_.open_verified(record->index_object, max_index_bytes(record->entries));
        IndexReader reader(index);
        for (IndexEntry entry; reader.next(entry);) {
          if (entry.type != EntryType::Regular || entry.size == 0) continue;
          need_object(entry.content);
          if (!mounted_.contains(name)) whole = whole && objects_.contains(entry.content);
        }
        if (whole) whole_.insert(name);
      } catch (const Error& error) {
        hold_objects("store/layers/" + name, error.message());
      }
    }
  }

  [[nodiscard]] std::set<std::string> without_record() const {
    std::set<std::string> orphans;
    for (const DirectoryEntry& entry : list_directory(layout_.environments())) {
      if (Digest::is_valid(entry.name) && !known_.contains(entry.name)) orphans.insert(entry.name);
    }
    for (const std::string& env_id : SnapshotLog(layout_).environments()) {
      if (!known_.contains(env_id)) orphans.insert(env_id);
    }
    return orphans;
  }

  /// Without a record, but with something that a user wrote: a record was lost, or a destroy on a full disk
  /// died. Which of both, only its owner knows.
  void mark_lost_environments() {
    if (roots_.discard_lost) return;
    for (const std::string& env_id : without_record()) {
      const std::vector<std::string> found = find_user_files(layout_, env_id);
      if (found.empty()) continue;
      lost_.insert(env_id);
      plan_.holds.push_back(
          {"env/" + env_id, fmt::format("it has no record, and there is {} in it", fmt::join(found, " and ")),
           "a build of its manifest keeps that as a snapshot; karapace gc --discard-lost "
           "removes it",
           false, true});
    }
  }

  // --- what is not

  void sweep_environments() {
    const UniqueFd environments = layout_.environments();
    for (const std::string& env_id : without_record()) {
      if (is_locked(environments, env_id + "/run/sessions") || is_locked(environments, env_id + "/.lock")) {
        // Its layers are mounted, and only its record could tell which they are.
        hold_layers("env/" + env_id, "it is in use and has no record",
                    "stop what runs in it and run gc again");
        continue;
      }
      if (lost_.contains(env_id)) continue;
      plan_.environments.push_back(env_id);
      add_tree("env/" + env_id);
      add_tree("store/snapshots/" + env_id);
    }
  }

  /// A record of what was built is of use as long as its layer is there.
  void sweep_builds() {
    if (keep_layers_) return;
    const BuildCache cache(layout_);
    sweep("builds", plan_.builds, [&](const std::string& name) {
      const auto layer = cache.find(Digest::parse(name));
      return layer && live_layers_.contains(layer->hex());
    });
  }

  void sweep_packages() {
    if (keep_layers_) return;
    if (!roots_.all_packages_because.empty()) {
      plan_.holds.push_back({"store/packages", roots_.all_packages_because, kDamageFix, true});
      keep_objects_ = true;
      return;
    }
    sweep("packages", plan_.packages, [&](const std::string& name) {
      if (!roots_.packages.contains(name)) return false;
      keep_object_of_package(name);
      return true;
    });
  }

  void keep_object_of_package(const std::string& name) {
    try {
      const UniqueFd file = open_beneath(layout_.store(), "packages/" + name, kReadFile);
      const struct stat info = stat_fd(file);
      if (info.st_nlink > 1) {
        package_inodes_.insert(info.st_ino);
      } else {
        live_objects_.insert(hash_file(file));  // a copy, where the file system has no hard links
      }
    } catch (const Error& error) {
      hold_objects("store/packages/" + name, error.message());
    }
  }

  void sweep_downloads() {
    const UniqueFd downloads = layout_.open_dir("store/downloads");
    for (const DirectoryEntry& entry : list_directory(downloads)) {
      if (!is_part(entry.name)) continue;
      const auto info = stat_at(downloads, entry.name);
      if (!info || !S_ISREG(info->st_mode) || is_locked(downloads, entry.name)) continue;
      plan_.downloads.push_back(entry.name);
      inodes_.add(*info);
    }
  }

  void sweep_layers() {
    if (keep_layers_) return;
    sweep("layers", plan_.layers, [&](const std::string& name) { return live_layers_.contains(name); });
  }

  void sweep_trees() {
    if (keep_layers_) return;
    const UniqueFd trees = layout_.trees();
    for (const DirectoryEntry& entry : list_directory(trees)) {
      if (!Digest::is_valid(entry.name) || mounted_.contains(entry.name)) continue;
      // An archived environment needs none, if it can be laid out again.
      if (live_layers_.contains(entry.name) && !whole_.contains(entry.name)) continue;
      plan_.trees.push_back(entry.name);
      add_tree("trees/" + entry.name);
    }
  }

  void sweep_objects() {
    if (keep_objects_) return;
    const UniqueFd objects = layout_.objects();
    // A list of all names would be longer than everything else that is known of them.
    for_each_name(objects, [&](std::string_view name, unsigned char, std::uint64_t) {
      if (!Digest::is_valid(name)) return;
      const Digest object = Digest::parse(name);
      if (!live_objects_.contains(object)) plan_.objects.push_back(object);
    });
    std::ranges::sort(plan_.objects);
    std::erase_if(plan_.objects, [&](const Digest& object) {
      const auto info = stat_at(objects, object.hex());
      if (!info || S_ISDIR(info->st_mode) || package_inodes_.contains(info->st_ino)) return true;
      inodes_.add(*info);
      return false;
    });
  }

  template <typename IsLive>
  void sweep(const char* directory, std::vector<std::string>& dead, IsLive&& is_live) {
    const UniqueFd dir = open_directory(layout_.store(), directory);
    for (const DirectoryEntry& entry : list_directory(dir)) {
      if (!Digest::is_valid(entry.name)) continue;
      cancel_.check();
      if (is_live(entry.name)) continue;
      const auto info = stat_at(dir, entry.name);
      if (!info || S_ISDIR(info->st_mode)) continue;  // not ours, and no file that could be deleted
      dead.push_back(entry.name);
      inodes_.add(*info);
    }
  }

  /// Files that were not finished, trees and environments that were not removed to their end, staging that no
  /// operation owns. Whoever makes such names holds the store lock, so with it to ourselves they are rubbish.
  void sweep_leftovers() {
    for (const char* directory :
         {"store", "store/objects", "store/layers", "store/metadata", "store/names", "store/snapshots",
          "store/builds", "store/packages", "store/downloads", "trees", "env"}) {
      const auto dir = try_open_beneath(layout_.root(), directory, O_RDONLY | O_DIRECTORY);
      if (!dir) continue;
      std::vector<std::string> found;
      for_each_name(*dir, [&](std::string_view name, unsigned char, std::uint64_t) {
        if (is_temporary(name)) found.emplace_back(name);
      });
      std::ranges::sort(found);
      for (const std::string& name : found) add_leftover(directory, name);
    }
    const UniqueFd wal = layout_.open_dir("store/wal");
    const UniqueFd staging = layout_.staging();
    for (const DirectoryEntry& entry : list_directory(staging)) {
      if (!exists_at(wal, wal_file_name(entry.name)) && !has_switch_plan(staging, entry.name))
        add_leftover("store/staging", entry.name);
    }
    sweep_names();
  }

  void add_leftover(const std::string& directory, const std::string& name) {
    plan_.leftovers.push_back(directory + "/" + name);
    add_tree(plan_.leftovers.back());
  }

  void add_tree(const std::string& path) {
    if (scope_ == Scope::Trees) return;
    try {
      inodes_.add(sizes_of(layout_, path, roots_.inside, cancel_));
    } catch (const Error&) {
      // Of a subordinate id and closed to us: it counts when it is gone.
    }
  }

  /// An index that names an environment that is gone, or has another name now.
  void sweep_names() {
    const UniqueFd names = layout_.open_dir("store/names");
    for (const DirectoryEntry& entry : list_directory(names)) {
      if (entry.name.starts_with('.')) continue;
      try {
        const auto env_id = try_read_file_at(names, entry.name, 2 * Digest::kSize);
        if (env_id && Digest::is_valid(*env_id) && !may_have_name(*env_id, entry.name))
          add_leftover("store/names", entry.name);
      } catch (const Error&) {
        // Not ours; verify-store tells.
      }
    }
  }

  bool may_have_name(const std::string& env_id, const std::string& name) const {
    if (!known_.contains(env_id)) return false;
    try {
      const std::optional<EnvRecord> record = MetadataStore(layout_).find(env_id);
      return record && record->name == name;
    } catch (const Error&) {
      return true;  // it cannot be read
    }
  }

  const StoreLayout& layout_;
  const GcRoots& roots_;
  const Scope scope_;
  ProgressSink& progress_;
  const CancelToken& cancel_;
  ObjectStore objects_;
  GcPlan plan_;
  InodeCount inodes_;
  bool keep_layers_ = false;
  bool keep_objects_ = false;
  std::set<std::string> known_;     // environments with a record, readable or not
  std::set<std::string> lost_;      // without a record, but with what a user wrote
  std::set<std::string> archived_;  // environments
  SnapshotHeads heads_;
  std::set<std::string> live_layers_;  // named by a record or a snapshot
  std::set<std::string> mounted_;      // of these: needed as a directory
  std::set<std::string> whole_;        // of these: record, index and objects are there
  std::unordered_set<Digest> live_objects_;
  std::unordered_set<ino_t> package_inodes_;
};

}  // namespace

std::size_t GcPlan::size() const noexcept {
  return environments.size() + builds.size() + packages.size() + downloads.size() + layers.size() +
         trees.size() + objects.size() + leftovers.size();
}

GcPlan plan_gc(const StoreLayout& layout, const GcRoots& roots, ProgressSink& progress,
               const CancelToken& cancel) {
  return with_context([] { return "looking for what can be freed"; },
                      [&] { return Planner(layout, roots, Scope::All, progress, cancel).run(); });
}

std::vector<std::string> plan_gc_of_trees(const StoreLayout& layout, ProgressSink& progress,
                                          const CancelToken& cancel) {
  const GcRoots roots;  // artefacts play no part in which trees are needed
  return with_context([] { return "looking for trees that nothing needs"; },
                      [&] { return Planner(layout, roots, Scope::Trees, progress, cancel).run().trees; });
}

}  // namespace karapace::store
