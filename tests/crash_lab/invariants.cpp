// SPDX-License-Identifier: Apache-2.0
// What every store must be, whatever happened to it.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "karapace/base/cancel.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/store/integrity.hpp"
#include "karapace/store/layer.hpp"
#include "karapace/store/metadata.hpp"
#include "karapace/store/object_store.hpp"
#include "karapace/store/snapshot_log.hpp"
#include "model.hpp"

namespace karapace::lab {
namespace {

using Names = std::set<std::string>;

Names names_in(const store::StoreLayout& layout, const std::string& directory) {
  Names names;
  for (const DirectoryEntry& entry : list_directory(layout.open_dir(directory))) names.insert(entry.name);
  return names;
}

/// All that the records lead to, found here and not by gc.
struct Needed {
  Names environments, names, layers, objects, trees;

  explicit Needed(const store::StoreLayout& layout) {
    for (const store::EnvRecord& record : store::MetadataStore(layout).list().records) {
      environments.insert(record.env_id);
      if (record.name) names.insert(*record.name);
      for (const std::string& object : {record.manifest_hash, record.lock_hash}) objects.insert(object);
      const bool laid_out = record.state != store::EnvState::Archived;
      add(store::layer_stack(record), laid_out);
      for (const store::SnapshotRecord& snapshot : store::SnapshotLog(layout).read(record.env_id).snapshots) {
        add(snapshot.layers, laid_out);
        add({snapshot.layer}, laid_out);
      }
    }
    for (const std::string& name : layers) add_objects_of(layout, Digest::parse(name));
  }

 private:
  void add(const std::vector<std::string>& stack, bool laid_out) {
    layers.insert(stack.begin(), stack.end());
    if (laid_out) trees.insert(stack.begin(), stack.end());
  }
  void add_objects_of(const store::StoreLayout& layout, const Digest& layer) {
    const store::LayerRecord record = store::LayerStore(layout).load(layer);
    objects.insert({record.index_object.hex(), record.mtimes_object.hex()});
    for (const store::IndexEntry& entry :
         store::decode_index(store::ObjectStore(layout).load(record.index_object))) {
      if (entry.type == store::EntryType::Regular && entry.size > 0) objects.insert(entry.content.hex());
    }
  }
};

void expect_only(const store::StoreLayout& layout, const std::string& directory, const Names& allowed,
                 std::vector<std::string>& faults) {
  for (const std::string& name : names_in(layout, directory)) {
    if (!allowed.contains(name)) faults.push_back(fmt::format("orphan after gc: {}/{}", directory, name));
  }
}

void expect_empty(const store::StoreLayout& layout, const std::string& directory,
                  std::vector<std::string>& faults) {
  for (const std::string& name : names_in(layout, directory))
    faults.push_back(fmt::format("left after recovery: {}/{}", directory, name));
}

void check_locks(const store::StoreLayout& layout, std::vector<std::string>& faults) {
  if (!layout.try_lock_exclusive()) faults.emplace_back("stuck lock: store/.lock");
  for (const std::string& id : names_in(layout, "env")) {
    if (Digest::is_valid(id) && exists_at(layout.environments(), id + "/.lock") &&
        !layout.try_lock_environment(id))
      faults.push_back("stuck lock: env/" + id);
  }
}

}  // namespace

std::vector<std::string> find_faults(const std::string& root) {
  std::vector<std::string> faults;
  std::optional<store::StoreLayout> layout;
  try {
    layout = store::StoreLayout::open_existing(root + "/store");
  } catch (const store::FormatError&) {
    return faults;  // migrate has not got there yet
  }
  if (!layout) return faults;
  const CancelToken never;
  const store::IntegrityReport report = store::verify_store(*layout, no_progress(), never);
  for (const store::IntegrityFault& fault : report.failed) {
    // A destroy on a full disk has no room for the log; gc takes away what it leaves.
    if (fault.fix.starts_with("karapace gc removes ")) continue;
    faults.push_back(fmt::format("verify-store: {} {}: {}", fault.kind, fault.hash, fault.reason));
  }
  for (const store::NotChecked& item : report.unreadable)
    faults.push_back(fmt::format("verify-store: unreadable {}: {}", item.what, item.reason));
  for (const store::BadRecord& bad : store::MetadataStore(*layout).list().bad)
    faults.push_back(fmt::format("unreadable record {}: {}", bad.file, bad.reason));
  expect_empty(*layout, "store/staging", faults);
  expect_empty(*layout, "store/wal", faults);
  check_locks(*layout, faults);
  return faults;
}

std::vector<std::string> find_orphans(const std::string& root) {
  std::vector<std::string> faults;
  const auto layout = store::StoreLayout::open_existing(root + "/store");
  if (!layout) return faults;
  Needed needed(*layout);
  needed.names.insert(".lock");
  expect_only(*layout, "env", needed.environments, faults);
  expect_only(*layout, "store/metadata", needed.environments, faults);
  expect_only(*layout, "store/snapshots", needed.environments, faults);
  expect_only(*layout, "store/names", needed.names, faults);
  expect_only(*layout, "store/layers", needed.layers, faults);
  expect_only(*layout, "store/objects", needed.objects, faults);
  expect_only(*layout, "trees", needed.trees, faults);
  for (const char* directory : {"store/downloads", "store/packages", "store/staging", "store/wal"})
    expect_only(*layout, directory, {}, faults);
  for (const std::string& name : names_in(*layout, "store/builds")) {
    if (!Digest::is_valid(name)) faults.push_back("orphan after gc: store/builds/" + name);
  }
  for (const std::string& id : needed.environments) {
    for (const std::string& name : names_in(*layout, "env/" + id)) {
      static const Names kKnown = {"upper", "work", "home", "run", "policy", ".lock"};
      if (!kKnown.contains(name)) faults.push_back(fmt::format("orphan after gc: env/{}/{}", id, name));
    }
  }
  return faults;
}

}  // namespace karapace::lab
