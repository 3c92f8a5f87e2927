// SPDX-License-Identifier: Apache-2.0
// Objects first, from trees and artefacts; then layer records, from trees; then trees, from objects.
#include "karapace/store/repair.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "karapace/base/clock.hpp"
#include "karapace/base/durable.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/log.hpp"
#include "karapace/base/text.hpp"
#include "karapace/store/metadata.hpp"
#include "karapace/store/object_store.hpp"
#include "karapace/store/snapshot_log.hpp"
#include "tree_io.hpp"

namespace karapace::store {
namespace {

constexpr int kReadFile = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;

class Repairer {
 public:
  Repairer(const StoreLayout& layout, const IntegrityReport& report, const RepairSources& sources,
           ProgressSink& progress, const CancelToken& cancel)
      : layout_(layout),
        report_(report),
        sources_(sources),
        progress_(progress),
        cancel_(cancel),
        objects_dir_(layout.objects()) {}

  std::vector<Repaired> run() {
    progress_.step("repair", fmt::format("{} faults", report_.failed.size()));
    find_object_sources();
    each("object", [this](const IntegrityFault& fault) { return heal_object(fault); });
    each("object", [this](const IntegrityFault& fault) { return build_object(fault); });
    each("layer", [this](const IntegrityFault& fault) { return heal_layer(fault); });
    each("tree", [this](const IntegrityFault& fault) { return heal_tree(fault); });
    each("package", [this](const IntegrityFault& fault) { return heal_package(fault); });
    each("build", [this](const IntegrityFault& fault) { return drop_build(fault); });
    each("snapshot", [this](const IntegrityFault& fault) { return mend_snapshots(fault); });
    each("name", [this](const IntegrityFault& fault) { return mend_name(fault); });
    return std::move(repaired_);
  }

 private:
  struct Place {
    std::string layer;
    std::string path;
  };

  /// `heal` returns how, or nothing if there is no source. A failure is no reason to leave the others alone.
  template <typename Heal>
  void each(const char* kind, Heal&& heal) {
    for (const IntegrityFault& fault : report_.failed) {
      if (fault.kind != kind || is_repaired(fault)) continue;
      if (!Digest::is_valid(fault.hash) && fault.kind != "name") continue;
      cancel_.check();
      try {
        const std::string how = heal(fault);
        if (!how.empty()) repaired_.push_back({fault.kind, fault.hash, how});
      } catch (const Error& error) {
        log::debug("{} {} is not repaired: {}", fault.kind, fault.hash, error.what());
      }
    }
  }

  // --- objects

  void find_object_sources() {
    std::set<Digest> wanted;
    for (const IntegrityFault& fault : report_.failed) {
      if (fault.kind == "object" && Digest::is_valid(fault.hash)) wanted.insert(Digest::parse(fault.hash));
    }
    if (wanted.empty()) return;
    const LayerStore layers(layout_);
    const ObjectStore objects(layout_);
    for (const Digest& layer : layers.list()) {
      cancel_.check();
      try {
        for (const IndexEntry& entry : decode_index(objects.load(layer))) {
          if (entry.type == EntryType::Regular && wanted.contains(entry.content))
            sources_of_[entry.content].push_back({layer.hex(), entry.path});
        }
      } catch (const Error& error) {
        log::debug("layer {} is no source: {}", layer.hex(), error.what());
      }
    }
  }

  std::string heal_object(const IntegrityFault& fault) {
    const Digest digest = Digest::parse(fault.hash);
    for (const Place& place : sources_of_[digest]) {
      if (copy_from("trees/" + place.layer + "/" + place.path, digest))
        return fmt::format("from {} of layer {}", printable(place.path), place.layer.substr(0, 12));
    }
    if (std::string how = heal_from_packages(digest); !how.empty()) return how;
    if (const auto text = sources_.find_text ? sources_.find_text(digest) : std::nullopt;
        text && hash_bytes(*text) == digest) {
      ObjectStore(layout_).put(*text);
      return "from where the environment was built";
    }
    return heal_from_scan(digest);
  }

  /// After all that is cheaper. The file may be damaged in its tree, too, because both are one inode.
  std::string build_object(const IntegrityFault& fault) {
    if (!sources_.build_layer) return {};
    const Digest digest = Digest::parse(fault.hash);
    for (const Place& place : sources_of_[digest]) {
      if (!built_.insert(place.layer).second && !is_good(digest)) continue;
      if (!is_good(digest) && !sources_.build_layer(place.layer)) continue;
      if (is_good(digest)) return "by building layer " + place.layer.substr(0, 12) + " again";
    }
    return {};
  }

  [[nodiscard]] bool is_good(const Digest& digest) const {
    const auto file = try_open_beneath(objects_dir_, digest.hex(), kReadFile);
    return file && hash_file(*file) == digest;
  }

  /// True if the file has the bytes; then it is an object of its own from here on.
  bool copy_from(const std::string& path, const Digest& digest) {
    const std::string temporary = std::string(kTemporaryPrefix) + random_hex(12);
    try {
      const UniqueFd copy = tree_io::create_file(objects_dir_, temporary);
      copy_contents(path, copy);
      tree_io::set_mode(copy, 0444);
      sync_file(copy);
      if (hash_file(copy) == digest) {
        rename_at(objects_dir_, temporary, objects_dir_, digest.hex(), Replace::Yes);
        sync_directory(objects_dir_);
        return true;
      }
    } catch (const Error& error) {
      log::debug("{} is no source: {}", path, error.what());
    }
    try_unlink_at(objects_dir_, temporary);
    return false;
  }

  void copy_contents(const std::string& path, FdRef target) {
    try {
      const UniqueFd source = open_beneath(layout_.root(), path, kReadFile);
      if (!S_ISREG(stat_fd(source).st_mode)) throw CorruptError(path, "a regular file", "something else");
      tree_io::copy_contents(source, target);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::PermissionDenied || !sources_.copy_closed_file) throw;
      sources_.copy_closed_file(path, target);
    }
  }

  std::string heal_from_packages(const Digest& digest) {
    const auto object = stat_at(objects_dir_, digest.hex());
    const UniqueFd packages = layout_.open_dir("store/packages");
    for (const DirectoryEntry& entry : list_directory(packages)) {
      if (!Digest::is_valid(entry.name)) continue;
      const auto info = stat_at(packages, entry.name);
      if (!info || !S_ISREG(info->st_mode)) continue;
      if (object && info->st_ino == object->st_ino) {
        if (sources_.fetch_package && sources_.fetch_package(entry.name)) return "fetched again";
      } else if (info->st_nlink == 1 && copy_from("store/packages/" + entry.name, digest)) {
        return "from artefact " + entry.name.substr(0, 12);
      }
    }
    return {};
  }

  /// Indexes and times: a tree can be read again.
  std::string heal_from_scan(const Digest& digest) {
    ObjectStore objects(layout_);
    for (const DirectoryEntry& entry : list_directory(layout_.trees())) {
      if (!Digest::is_valid(entry.name)) continue;
      const std::optional<Scan>& scan = scan_of(entry.name);
      if (!scan) continue;
      for (const std::string* bytes : {&scan->index, &scan->mtimes}) {
        if (hash_bytes(*bytes) != digest) continue;
        objects.put(*bytes);
        return "from the tree of layer " + entry.name.substr(0, 12);
      }
    }
    return {};
  }

  // --- layers

  struct Scan : TreeScan {
    bool flat = true;
  };

  /// The tree as it is, if it is the layer.
  const std::optional<Scan>& scan_of(const std::string& layer) {
    const auto place = scans_.try_emplace(layer);
    const auto found = place.first;
    if (!place.second || !may_matter(layer)) return found->second;
    const auto take = [&](bool flat, const auto& read) {
      try {
        Scan scan{read(), flat};
        if (hash_bytes(scan.index).hex() == layer) found->second = std::move(scan);
      } catch (const Error& error) {
        log::debug("tree {} is no source: {}", layer, error.what());
      }
    };
    take(true, [&] { return read_tree(open_directory(layout_.trees(), layer), true, cancel_); });
    if (!found->second && sources_.read_mapped_tree && exists_at(layout_.trees(), layer))
      take(false, [&] { return sources_.read_mapped_tree(layer); });
    return found->second;
  }

  /// Reading a tree is dear: only those of layers that something is wrong with.
  [[nodiscard]] bool may_matter(const std::string& layer) const {
    return std::ranges::any_of(report_.failed, [&](const IntegrityFault& fault) {
      return (fault.kind == "layer" && fault.hash == layer) ||
             (fault.kind == "metadata" && fault.reason.find(layer) != std::string::npos);
    });
  }

  std::string heal_layer(const IntegrityFault& fault) {
    const LayerStore layers(layout_);
    try {
      if (layers.find(Digest::parse(fault.hash))) return {};  // its objects are what is wrong
    } catch (const CorruptError& error) {
      log::debug("{}", error.what());
    }
    const std::optional<Scan>& scan = scan_of(fault.hash);
    if (!scan) return {};
    LayerRecord record;
    record.hash = Digest::parse(fault.hash);
    record.kind = kind_of(fault.hash);
    record.ownership = scan->flat ? "flat" : "mapped";
    record.entries = scan->entries;
    record.bytes = scan->bytes;
    LayerStore(layout_).put(record, scan->index, scan->mtimes);
    return "from its tree";
  }

  [[nodiscard]] LayerKind kind_of(const std::string& layer) const {
    for (const EnvRecord& record : MetadataStore(layout_).list().records) {
      if (record.base_layer == layer) return LayerKind::Base;
      if (std::ranges::find(record.dependency_layers, layer) != record.dependency_layers.end())
        return LayerKind::Dependency;
    }
    return LayerKind::Snapshot;
  }

  // --- trees

  [[nodiscard]] bool is_in_use(const std::vector<std::string>& environments) const {
    return std::ranges::any_of(environments, [&](const std::string& env_id) {
      std::optional<UniqueFd> file =
          try_open_beneath(layout_.environments(), env_id + "/run/sessions", kReadFile);
      return file && !FileLock::try_acquire(std::move(*file), LockMode::Exclusive);
    });
  }

  std::string heal_tree(const IntegrityFault& fault) {
    const LayerStore layers(layout_);
    const std::optional<LayerRecord> record = layers.find(Digest::parse(fault.hash));
    if (!record || !sources_.lay_out_tree || is_in_use(fault.affects) || !has_all_objects(*record)) return {};
    const UniqueFd trees = layout_.trees();
    const std::string aside = std::string(kTemporaryPrefix) + random_hex(16);
    const bool had_tree = exists_at(trees, fault.hash);
    if (had_tree) rename_at(trees, fault.hash, trees, aside, Replace::No);
    try {
      sources_.lay_out_tree(*record);
    } catch (const Error&) {
      if (had_tree) rename_at(trees, aside, trees, fault.hash, Replace::No);
      throw;
    }
    sync_directory(trees);
    if (had_tree && sources_.remove_tree) sources_.remove_tree("trees/" + aside);
    return "laid out from its objects";
  }

  /// By content: a tree must not be made of what is damaged.
  [[nodiscard]] bool has_all_objects(const LayerRecord& record) const {
    const ObjectStore objects(layout_);
    for (const IndexEntry& entry : decode_index(objects.load(record.index_object))) {
      if (entry.type != EntryType::Regular || entry.size == 0) continue;
      if (!objects.contains(entry.content) || still_bad(entry.content.hex())) return false;
    }
    return objects.contains(record.mtimes_object);
  }

  [[nodiscard]] bool still_bad(const std::string& object) const {
    const auto is_object = [&](const auto& item) { return item.kind == "object" && item.hash == object; };
    return std::ranges::any_of(report_.failed, is_object) && !std::ranges::any_of(repaired_, is_object);
  }
  [[nodiscard]] bool is_repaired(const IntegrityFault& fault) const {
    return std::ranges::any_of(
        repaired_, [&](const Repaired& item) { return item.kind == fault.kind && item.hash == fault.hash; });
  }

  // --- artefacts, build records

  std::string heal_package(const IntegrityFault& fault) {
    return sources_.fetch_package && sources_.fetch_package(fault.hash) ? "fetched again" : "";
  }

  std::string drop_build(const IntegrityFault& fault) {
    const UniqueFd builds = layout_.open_dir("store/builds");
    try_unlink_at(builds, fault.hash);
    sync_directory(builds);
    return "removed: the next build makes it again";
  }

  // --- what has its source around it

  std::string mend_snapshots(const IntegrityFault& fault) {
    return SnapshotLog(layout_).mend(fault.hash) ? "its lines are whole" : "";
  }

  /// Only an index: whom it should lead to, the records say.
  std::string mend_name(const IntegrityFault& fault) {
    const UniqueFd names = layout_.open_dir("store/names");
    if (fault.affects.size() == 1) {
      replace_file(names, fault.hash, fault.affects.front());
      return "from the record";
    }
    try_unlink_at(names, fault.hash);
    sync_directory(names);
    return "removed: no record has that name";
  }

  const StoreLayout& layout_;
  const IntegrityReport& report_;
  const RepairSources& sources_;
  ProgressSink& progress_;
  const CancelToken& cancel_;
  UniqueFd objects_dir_;
  std::vector<Repaired> repaired_;
  std::map<Digest, std::vector<Place>> sources_of_;
  std::map<std::string, std::optional<Scan>> scans_;
  std::set<std::string> built_;  // layers
};

}  // namespace

TreeScan read_tree(FdRef tree, bool flat, const CancelToken& cancel) {
  const std::vector<IndexEntry> entries = scan_tree(tree, flat, true, 2, cancel);
  TreeScan scan{encode_index(entries), encode_mtimes(entries), entries.size(), 0};
  for (const IndexEntry& entry : entries) scan.bytes += entry.size;
  return scan;
}

void copy_file_contents(FdRef source, FdRef target) { tree_io::copy_contents(source, target); }

std::vector<Repaired> repair_store(const StoreLayout& layout, const IntegrityReport& report,
                                   const RepairSources& sources, ProgressSink& progress,
                                   const CancelToken& cancel) {
  return Repairer(layout, report, sources, progress, cancel).run();
}

}  // namespace karapace::store
