// SPDX-License-Identifier: Apache-2.0
// Objects first, because a layer is whole if its objects are; then layers and trees; then records, which name
// layers. Faults of objects are told with the environments that need them, so they are put together last.
//
// The store is in use meanwhile: whoever adds to it does so objects first and records last, and a commit,
// which names its layer before it is there, says so in its plan. So what is missing is looked for once more,
// in the opposite order, before it is called a fault. Only gc takes things away, and the caller keeps it out.
#include "karapace/store/integrity.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "karapace/base/durable.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "karapace/store/metadata.hpp"
#include "karapace/store/object_store.hpp"
#include "karapace/store/snapshot_heads.hpp"
#include "karapace/store/snapshot_log.hpp"
#include "lost_check.hpp"
#include "object_table.hpp"
#include "pending_work.hpp"
#include "stray_check.hpp"

namespace karapace::store {
namespace {

constexpr int kReadFile = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;

bool is_denied(const Error& error) { return error.code() == ErrorCode::PermissionDenied; }

class Verifier {
 public:
  /// `report` has the faults that are known already.
  Verifier(const StoreLayout& layout, ObjectCheck objects, IntegrityReport report, ProgressSink& progress,
           const CancelToken& cancel, const InsideChecks& inside)
      : layout_(layout),
        progress_(progress),
        cancel_(cancel),
        inside_(inside),
        pending_(layout),
        objects_dir_(layout.objects()),
        objects_(std::move(objects)),
        report_(std::move(report)) {}

  IntegrityReport run() {
    take_objects();
    check_packages();
    progress_.step("verify", "layers");
    check_layers();
    const RecordList records = MetadataStore(layout_).list();
    progress_.step("verify", "environments");
    check_metadata(records);
    check_names();
    const auto add = [&](IntegrityFault fault) { report_.failed.push_back(std::move(fault)); };
    check_lost_records(layout_, owner_of_name_, add);
    for (const EnvRecord& record : records.records) check_upper(layout_, record, add);
    check_builds(layout_, add);
    check_places(layout_, bad_trees_, add);
    check_log(layout_, add);
    for (auto& [digest, reason] : bad_objects_) {
      const std::set<std::string>& layers = layers_with_bad_object_[digest];
      std::vector<std::string> affects = environments_of(layers);
      std::ranges::copy(users_of_object_[digest], std::back_inserter(affects));
      std::ranges::sort(affects);
      affects.erase(std::unique(affects.begin(), affects.end()), affects.end());
      add_fault("object", digest.hex(), reason, std::move(affects), layers);
    }
    for (NotChecked& item : report_.unreadable) {
      if (const std::string_view kTree = "tree "; item.what.starts_with(kTree))
        item.affects = environments_of({item.what.substr(kTree.size())});
    }
    const std::uint64_t looked_at =
        report_.objects_checked + report_.layers_checked + report_.trees_checked + report_.metadata_checked;
    report_.passed = looked_at - bad_objects_.size() - bad_layers_.size() - missing_layers_.size() -
                     failed_trees_ - bad_records_.size();
    report_.checked = report_.passed + report_.failed.size();
    return std::move(report_);
  }

 private:
  void add_fault(std::string kind, std::string hash, std::string reason,
                 std::vector<std::string> affects = {}, const std::set<std::string>& layers = {}) {
    std::set<std::string> snapshots;
    for (const std::string& layer : layers) {
      const auto& of_layer = snapshots_on_[layer];
      snapshots.insert(of_layer.begin(), of_layer.end());
    }
    report_.failed.push_back({.kind = std::move(kind),
                              .hash = std::move(hash),
                              .reason = std::move(reason),
                              .affects = std::move(affects),
                              .snapshots = {snapshots.begin(), snapshots.end()},
                              .fix = {}});
  }

  void not_checked(std::string what, const Error& error) {
    report_.unreadable.push_back(
        {.what = std::move(what), .reason = error.message(), .fix = error.fix(), .affects = {}});
  }

  std::vector<std::string> environments_of(const std::set<std::string>& layers) {
    std::set<std::string> environments;
    for (const std::string& layer : layers) environments.insert(users_[layer].begin(), users_[layer].end());
    return {environments.begin(), environments.end()};
  }

  // --- objects

  void take_objects() {
    report_.objects_checked = objects_.checked;
    bad_objects_ = std::move(objects_.bad);
    for (const std::string& name : objects_.strange_names)
      add_fault("object", printable(name), "its name is not a digest");
    if (objects_.denied.empty()) return;
    // Objects of subordinate ids that their owner has closed to others.
    try {
      if (!inside_.objects)
        throw Error(ErrorCode::PermissionDenied, "only its own user namespace may read it");
      for (auto& [digest, reason] : inside_.objects(objects_.denied))
        bad_objects_.emplace(digest, std::move(reason));
      report_.objects_checked += objects_.denied.size();
    } catch (const Error& error) {
      if (is_shortage(error)) throw;
      for (const Digest& digest : objects_.denied) not_checked("object " + digest.hex(), error);
    }
  }

  /// An artefact is another name of an object, or a copy of one where the file system has no hard links.
  void check_packages() {
    const UniqueFd packages = layout_.open_dir("store/packages");
    for (const DirectoryEntry& entry : list_directory(packages)) {
      if (entry.name.starts_with(kTemporaryPrefix)) continue;
      cancel_.check();
      try {
        const UniqueFd file = open_beneath(packages, entry.name, kReadFile);
        const struct stat info = stat_fd(file);
        if (!S_ISREG(info.st_mode)) throw Error(ErrorCode::Corrupt, "it is not a regular file");
        // As another name of an object it was hashed with it.
        if (info.st_nlink > 1) {
          packages_.emplace(info.st_ino, entry.name);
          continue;
        }
        if (!has_object(hash_file(file))) throw Error(ErrorCode::Corrupt, "no object has its bytes");
      } catch (const Error& error) {
        if (is_shortage(error)) throw;
        add_fault("package", printable(entry.name), error.message(), users_of_package(entry.name));
      }
    }
    if (packages_.empty()) return;
    for (const auto& [digest, reason] : bad_objects_) {
      const auto info = stat_at(objects_dir_, digest.hex());
      const auto package = info ? packages_.find(info->st_ino) : packages_.end();
      if (package == packages_.end()) continue;
      for (std::string& user : users_of_package(package->second))
        users_of_object_[digest].insert(std::move(user));
    }
  }

  [[nodiscard]] std::vector<std::string> users_of_package(const std::string& sha256) const {
    return inside_.package_users ? inside_.package_users(sha256) : std::vector<std::string>();
  }

  // --- layers and trees

  void check_layers() {
    for (const DirectoryEntry& entry : list_directory(layout_.layers())) {
      if (entry.name.starts_with(kTemporaryPrefix)) continue;
      cancel_.check();
      ++report_.layers_checked;
      std::vector<std::string> problems;
      try {
        check_layer(entry.name, problems);
      } catch (const Error& error) {
        if (is_shortage(error)) throw;
        problems.push_back(fmt::format("layer read error: {}", error.message()));
      }
      if (!problems.empty()) bad_layers_.emplace(entry.name, fmt::format("{}", fmt::join(problems, "; ")));
    }
  }

  void check_layer(const std::string& name, std::vector<std::string>& problems) {
    const LayerStore layers(layout_);
    const LayerRecord record = layers.load(Digest::parse(name));
    layers_.insert(name);
    if (object_is_bad(record.mtimes_object, name)) problems.push_back("its times are damaged or missing");
    if (object_is_bad(record.index_object, name)) {
      problems.push_back("its index is damaged or missing");
      return;
    }
    const UniqueFd index = ObjectStore(layout_).open(record.index_object);
    IndexReader reader(index);
    std::uint64_t bytes = 0;
    std::uint64_t lost = 0;
    for (IndexEntry entry; reader.next(entry);) {
      bytes += entry.size;
      if (entry.type == EntryType::Regular && entry.size > 0 && object_is_bad(entry.content, name)) ++lost;
    }
    if (reader.count() != record.entries || bytes != record.bytes)
      problems.push_back("its record is not of its index");
    if (!times_fit(record, reader.count())) problems.push_back("its times are not of its index");
    if (lost > 0) problems.push_back(fmt::format("{} of its objects are damaged or missing", lost));
    check_tree(record, index);
  }

  /// One that came after all of them were looked at is good: its bytes were hashed to name it.
  [[nodiscard]] bool has_object(const Digest& object) const {
    return objects_.table.find(object) != nullptr || exists_at(objects_dir_, object.hex());
  }

  bool object_is_bad(const Digest& object, const std::string& layer) {
    if (!has_object(object) && bad_objects_.emplace(object, "object is missing").second)
      ++report_.objects_checked;
    if (bad_objects_.empty() || !bad_objects_.contains(object)) return false;
    layers_with_bad_object_[object].insert(layer);
    return true;
  }

  [[nodiscard]] bool times_fit(const LayerRecord& record, std::uint64_t entries) const {
    if (bad_objects_.contains(record.mtimes_object)) return true;
    const auto info = stat_at(objects_dir_, record.mtimes_object.hex());
    return !info || static_cast<std::uint64_t>(info->st_size) == entries * sizeof(std::uint64_t);
  }

  void check_tree(const LayerRecord& record, FdRef index) {
    const std::string name = record.hash.hex();
    // A layer without its tree can be laid out again from its objects; where one is needed, the records say
    // so.
    const std::optional<UniqueFd> tree =
        try_open_beneath(layout_.trees(), name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    if (!tree) return;
    const bool mapped = record.ownership == "mapped";
    const auto look = [&] {
      if (!mapped) {
        try {
          return find_tree_faults(open_directory(layout_.trees(), name), objects_dir_, IndexReader(index),
                                  true, cancel_, &objects_.table);
        } catch (const Error& error) {
          // Our own files, of a mode that closes them to us.
          if (!is_denied(error)) throw;
        }
      }
      if (!inside_.tree) throw Error(ErrorCode::PermissionDenied, "only its own user namespace may read it");
      return inside_.tree(record);
    };
    try {
      const std::vector<std::string> faults = look();
      ++report_.trees_checked;
      if (!faults.empty())
        add_bad_tree(name, fmt::format("differs from its index at: {}", fmt::join(faults, ", ")));
    } catch (const Error& error) {
      if (is_shortage(error)) throw;
      if (error.code() != ErrorCode::Corrupt && (mapped || is_denied(error))) {
        not_checked("tree " + name, error);
      } else {
        ++report_.trees_checked;
        add_bad_tree(name, error.message());
      }
    }
  }

  void add_bad_tree(const std::string& name, std::string reason) {
    if (bad_trees_.emplace(name, std::move(reason)).second) ++failed_trees_;
  }

  // --- records

  void check_metadata(const RecordList& list) {
    report_.metadata_checked = list.records.size() + list.bad.size();
    for (const BadRecord& bad : list.bad) {
      bad_records_.insert(bad.file);
      std::vector<std::string> affects;
      if (Digest::is_valid(bad.file)) affects.push_back(bad.file);
      add_fault("metadata", printable(bad.file), bad.reason, std::move(affects));
    }
    for (const EnvRecord& record : list.records) {
      check_record(record);
      if (!record.name) continue;
      const auto [first, added] = owner_of_name_.emplace(*record.name, record.env_id);
      if (!added && !pending_.is_changing_hands(record.env_id, first->second) &&
          has_name(record.env_id, *record.name) && has_name(first->second, *record.name))
        bad_record(record, fmt::format("the name '{}' is also that of {}", *record.name, first->second));
    }
    check_snapshots();
    for (const std::string& name : missing_layers_)
      add_fault("layer", name, "its record is missing", environments_of({name}), {name});
    report_.layers_checked += missing_layers_.size();
    for (auto& [name, reason] : bad_layers_)
      add_fault("layer", printable(name), reason, environments_of({name}), {name});
    for (auto& [name, reason] : bad_trees_) add_fault("tree", name, reason, environments_of({name}), {name});
  }

  /// An index that lags behind its record is no fault, one that can be no index of it is.
  void check_names() {
    const UniqueFd names = layout_.open_dir("store/names");
    for (const DirectoryEntry& entry : list_directory(names)) {
      if (entry.name.starts_with('.')) continue;
      const auto owner = owner_of_name_.find(entry.name);
      std::vector<std::string> affects;
      if (owner != owner_of_name_.end()) affects.push_back(owner->second);
      try {
        const std::optional<std::string> env_id = try_read_file_at(names, entry.name, 2 * Digest::kSize);
        if (!env_id) continue;
        if (!Digest::is_valid(*env_id)) {
          add_fault("name", printable(entry.name), "it holds no environment id", std::move(affects));
        } else if (!affects.empty() && !exists_at(layout_.metadata(), *env_id) &&
                   has_name(owner->second, entry.name)) {
          add_fault("name", printable(entry.name), "it leads to an environment that is not there",
                    std::move(affects));
        }
      } catch (const Error& error) {
        if (is_shortage(error)) throw;
        add_fault("name", printable(entry.name), error.message(), std::move(affects));
      }
    }
  }

  void bad_record(const EnvRecord& record, std::string reason) {
    bad_records_.insert(record.env_id);
    add_fault("metadata", record.env_id, std::move(reason), {record.env_id});
  }

  [[nodiscard]] bool is_known(const std::string& layer) const {
    return layers_.contains(layer) || bad_layers_.contains(layer);
  }

  /// True if it is not in `place`, no commit is about to bring it there, and the environment still needs it.
  [[nodiscard]] bool is_missing(FdRef place, const std::string& layer, const std::string& env_id) const {
    // In this order: a commit that ends now has brought the layer before it takes the plan away.
    if (pending_.brings(layer) || exists_at(place, layer)) return false;
    try {
      std::vector<std::string> needed;
      if (const std::optional<EnvRecord> record = MetadataStore(layout_).find(env_id)) {
        needed = layer_stack(*record);
        if (record->policy_layer) needed.push_back(*record->policy_layer);
      }
      for (const SnapshotRecord& snapshot : SnapshotLog(layout_).read(env_id).snapshots)
        needed.insert(needed.end(), snapshot.layers.begin(), snapshot.layers.end());
      return std::ranges::find(needed, layer) != needed.end();
    } catch (const Error&) {
      return true;
    }
  }

  [[nodiscard]] bool has_name(const std::string& env_id, const std::string& name) const {
    try {
      const std::optional<EnvRecord> record = MetadataStore(layout_).find(env_id);
      return record && record->name == name;
    } catch (const Error&) {
      return true;
    }
  }

  void check_record(const EnvRecord& record) {
    heads_.expect(record);
    std::vector<std::string> layers = layer_stack(record);
    if (record.policy_layer) layers.push_back(*record.policy_layer);
    for (const std::string& layer : layers) {
      users_[layer].insert(record.env_id);
      if (!is_known(layer)) {
        if (!is_missing(layout_.layers(), layer, record.env_id)) continue;
        bad_record(record, fmt::format("layer {} is missing", layer));
        missing_layers_.insert(layer);
      } else if (record.state != EnvState::Archived && !exists_at(layout_.trees(), layer) &&
                 is_missing(layout_.trees(), layer, record.env_id)) {
        bad_trees_.emplace(layer, "the tree is missing");
      }
    }
    for (const std::string& object : {record.manifest_hash, record.lock_hash}) {
      if (object.empty()) continue;
      const Digest digest = Digest::parse(object);
      users_of_object_[digest].insert(record.env_id);
      if (!has_object(digest) || bad_objects_.contains(digest)) {
        bad_record(record, fmt::format("object {} is damaged or missing", object));
      }
    }
  }

  void check_snapshots() {
    const SnapshotLog log(layout_);
    std::vector<BadRecord> strangers;
    for (const std::string& env_id : log.environments(&strangers)) {
      try {
        const SnapshotList list = log.read(env_id);
        heads_.found(env_id, list);
        for (const BadRecord& bad : list.bad)
          add_fault("snapshot", env_id, fmt::format("{}: {}", bad.file, bad.reason), {env_id});
        for (const SnapshotRecord& snapshot : list.snapshots) check_snapshot(env_id, snapshot);
      } catch (const Error& error) {
        if (is_shortage(error)) throw;
        heads_.unreadable(env_id);
        add_fault("snapshot", env_id, error.message(), {env_id});
      }
    }
    for (const BadRecord& bad : strangers) add_fault("snapshot", printable(bad.file), bad.reason);
    for (const auto& [env_id, head] : heads_.missing()) {
      if (!still_has_head(env_id, head)) continue;
      add_fault("snapshot", env_id, SnapshotHeads::reason(head), {env_id});
      report_.failed.back().snapshots.push_back(head);
    }
  }

  /// It may have been destroyed since its record was read.
  [[nodiscard]] bool still_has_head(const std::string& env_id, const std::string& head) const {
    try {
      const std::optional<EnvRecord> record = MetadataStore(layout_).find(env_id);
      return record && record->head == head;
    } catch (const Error&) {
      return true;
    }
  }

  void check_snapshot(const std::string& env_id, const SnapshotRecord& snapshot) {
    for (const std::string& layer : snapshot.layers) {
      users_[layer].insert(env_id);
      snapshots_on_[layer].insert(snapshot.id);
      if (!is_known(layer) && is_missing(layout_.layers(), layer, env_id))
        add_fault("snapshot", env_id,
                  fmt::format("layer {} of snapshot {} is missing", layer, snapshot.id.substr(0, 12)),
                  {env_id}, {layer});
    }
  }

  const StoreLayout& layout_;
  ProgressSink& progress_;
  const CancelToken& cancel_;
  const InsideChecks& inside_;
  const PendingWork pending_;
  UniqueFd objects_dir_;
  ObjectCheck objects_;
  IntegrityReport report_;
  std::map<Digest, std::string> bad_objects_;
  std::map<Digest, std::set<std::string>> layers_with_bad_object_;
  std::set<std::string> layers_;
  std::map<std::string, std::string> bad_layers_;
  std::set<std::string> missing_layers_;  // named by a record of an environment
  std::map<std::string, std::string> bad_trees_;
  std::uint64_t failed_trees_ = 0;  // of those that were there to be checked
  std::set<std::string> bad_records_;
  SnapshotHeads heads_;
  std::map<Digest, std::set<std::string>> users_of_object_;  // not through a layer: env ids
  std::map<ino_t, std::string> packages_;
  std::map<std::string, std::string> owner_of_name_;
  std::map<std::string, std::set<std::string>> snapshots_on_;  // of layers: ids
  std::map<std::string, std::set<std::string>> users_;         // of layers: env ids
};

}  // namespace

IntegrityReport verify_store(const StoreLayout& layout, ProgressSink& progress, const CancelToken& cancel,
                             const InsideChecks& inside) {
  IntegrityReport places;
  if (!check_directories(layout, [&](IntegrityFault fault) { places.failed.push_back(std::move(fault)); })) {
    places.checked = places.failed.size();
    places.unreadable.push_back({.what = "all that is in the store",
                                 .reason = "a directory of the store is missing or is none",
                                 .fix = "mend that and verify again",
                                 .affects = {}});
    return places;
  }
  progress.step("verify", "objects");
  ObjectCheck objects(layout.objects(), progress, cancel);
  return Verifier(layout, std::move(objects), std::move(places), progress, cancel, inside).run();
}

}  // namespace karapace::store
