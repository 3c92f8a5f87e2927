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
    each("layer", [this](const IntegrityFault& fault) { return heal_layer(fault); });
    each("tree", [this](const IntegrityFault& fault) { return heal_tree(fault); });
    each("package", [this](const IntegrityFault& fault) { return heal_package(fault); });
    each("build", [this](const IntegrityFault& fault) { return drop_build(fault); });
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
      if (fault.kind != kind || !Digest::is_valid(fault.hash)) continue;
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
    return heal_from_scan(digest);
  }

  /// True if the file has the bytes; then it is an object of its own from here on.
  bool copy_from(const std::string& path, const Digest& digest) {
    try {
      const UniqueFd source = open_beneath(layout_.root(), path, kReadFile);
      if (!S_ISREG(stat_fd(source).st_mode) || hash_file(source) != digest) return false;
      const std::string temporary = std::string(kTemporaryPrefix) + random_hex(12);
      const UniqueFd copy = tree_io::create_file(objects_dir_, temporary);
      tree_io::copy_contents(source, copy);
      tree_io::set_mode(copy, 0444);
      sync_file(copy);
      if (hash_file(copy) != digest) {
        try_unlink_at(objects_dir_, temporary);
        return false;
      }
      rename_at(objects_dir_, temporary, objects_dir_, digest.hex(), Replace::Yes);
      sync_directory(objects_dir_);
      return true;
    } catch (const SystemError& error) {
      log::debug("{} is no source: {}", path, error.what());
      return false;
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

  struct Scan {
    std::string index;
    std::string mtimes;
    std::uint64_t entries = 0;
    std::uint64_t bytes = 0;
  };

  /// The tree as it is, if it is the layer. Only flat ones: others cannot be read from here.
  const std::optional<Scan>& scan_of(const std::string& layer) {
    const auto [found, added] = scans_.try_emplace(layer);
    if (!added || !may_matter(layer)) return found->second;
    try {
      const UniqueFd tree = open_directory(layout_.trees(), layer);
      const std::vector<IndexEntry> entries = scan_tree(tree, true, true, 2, cancel_);
      Scan scan{encode_index(entries), encode_mtimes(entries), entries.size(), 0};
      for (const IndexEntry& entry : entries) scan.bytes += entry.size;
      if (hash_bytes(scan.index).hex() == layer) found->second = std::move(scan);
    } catch (const Error& error) {
      log::debug("tree {} is no source: {}", layer, error.what());
    }
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
    record.ownership = "flat";
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

  const StoreLayout& layout_;
  const IntegrityReport& report_;
  const RepairSources& sources_;
  ProgressSink& progress_;
  const CancelToken& cancel_;
  UniqueFd objects_dir_;
  std::vector<Repaired> repaired_;
  std::map<Digest, std::vector<Place>> sources_of_;
  std::map<std::string, std::optional<Scan>> scans_;
};

}  // namespace

std::vector<Repaired> repair_store(const StoreLayout& layout, const IntegrityReport& report,
                                   const RepairSources& sources, ProgressSink& progress,
                                   const CancelToken& cancel) {
  return Repairer(layout, report, sources, progress, cancel).run();
}

}  // namespace karapace::store
