// SPDX-License-Identifier: Apache-2.0
// Every inode gets the set of environments because of which gc keeps one of its names; then the sets are
// summed. Nearly all inodes are objects, and who needs an object is in the indexes. That a file of a tree is
// the inode of its object is seen by the object's number of links: if all trees that name it, and the object
// itself, make up that number, none of them has to be looked at.
#include "karapace/store/disk_use.hpp"

#include <fcntl.h>

#include <unordered_set>

#include "inode_count.hpp"
#include "karapace/base/durable.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/store/index_stream.hpp"
#include "karapace/store/layer.hpp"
#include "karapace/store/object_store.hpp"
#include "karapace/store/snapshot_log.hpp"
#include "object_linker.hpp"
#include "tree_io.hpp"
#include "tree_walk.hpp"
#include "user_sets.hpp"

namespace karapace::store {
namespace {

using SetId = UserSets::Id;
using User = UserSets::User;
constexpr User kSomebody = 0;  // who keeps a name that is no environment's, or cannot be told

bool is_closed(const Error& error) {
  const auto* system = dynamic_cast<const SystemError*>(&error);
  return system != nullptr && (system->error_number() == EACCES || system->error_number() == EPERM);
}

/// An index may have a million entries: it is read again rather than kept.
template <class Visit>
void for_each_entry(FdRef index, const Visit& visit) {
  IndexReader reader(index);
  for (IndexEntry entry; reader.next(entry);) visit(entry);
}

/// The names of a tree's files.
class TreeStat {
 public:
  explicit TreeStat(UniqueFd tree) : tree_(std::move(tree)), cursor_(tree_) {}

  std::optional<struct stat> operator()(const IndexEntry& entry) {
    if (entry.path.empty()) return stat_fd(tree_);
    return stat_at(cursor_.directory_of(entry), name_of(entry));
  }

 private:
  UniqueFd tree_;
  DirectoryCursor cursor_;
};

class Meter {
 public:
  Meter(const StoreLayout& layout, const DiskUseQuestion& question, const CancelToken& cancel)
      : layout_(layout), question_(question), cancel_(cancel), objects_(layout) {}

  std::map<std::string, std::optional<DiskUse>> run() {
    mark_records();
    for (const DirectoryEntry& entry : list_directory(layout_.layers())) {
      if (Digest::is_valid(entry.name)) layers_.try_emplace(entry.name);
    }
    for (auto& [name, layer] : layers_) read_layer(name, layer);
    add_packages();
    add_builds();
    add_objects();
    if (!parted_.empty()) look_at_parted();
    for (const User user : wanted_) add_environment(user);
    return sum();
  }

 private:
  struct Layer {
    SetId users = UserSets::kNobody;       // who needs its record, index and objects
    SetId tree_users = UserSets::kNobody;  // who needs it as a directory
    std::optional<LayerRecord> record;
    bool has_tree = false;
    bool read_inside = false;  // its inodes are in linked_ already
  };
  struct Object {
    SetId users = UserSets::kNobody;
    std::uint64_t files = 0;  // of trees, that should be its inode
  };
  struct Linked {
    LinkedInode inode;
    SetId users = UserSets::kNobody;
  };

  // --- who needs what

  void mark_records() {
    const SnapshotLog log(layout_);
    std::vector<BadRecord> strangers;
    static_cast<void>(log.environments(&strangers));
    const RecordList list = MetadataStore(layout_).list();
    if (!list.bad.empty() || !strangers.empty()) hold_everything();
    for (const EnvRecord& record : list.records) {
      const User user = static_cast<User>(ids_.size());
      ids_.push_back(record.env_id);
      if (question_.only.empty() || question_.only == record.env_id) wanted_.insert(user);
      const SetId set = sets_.of(user);
      const bool archived = record.state == EnvState::Archived;
      for (const std::string& layer : layer_stack(record)) need_layer(layer, set, !archived);
      if (record.policy_layer) need_layer(*record.policy_layer, set, !archived);
      need_object(record.manifest_hash, set);
      need_object(record.lock_hash, set);
      add_file(layout_.store(), "metadata/" + record.env_id, set);
      add_file(layout_.store(), "snapshots/" + record.env_id, set);
      if (record.name) add_file(layout_.store(), "names/" + *record.name, set);
      mark_snapshots(log, record.env_id, set, !archived);
    }
    for (const std::string& env_id : log.environments()) {
      // Without a record: gc keeps them until somebody says that they are not wanted.
      if (std::ranges::find(ids_, env_id) == ids_.end())
        mark_snapshots(log, env_id, sets_.of(kSomebody), false);
    }
  }

  void mark_snapshots(const SnapshotLog& log, const std::string& env_id, SetId set, bool laid_out) {
    try {
      const SnapshotList list = log.read(env_id);
      if (!list.bad.empty()) hold_everything();
      for (const SnapshotRecord& snapshot : list.snapshots) {
        for (const std::string& layer : snapshot.layers) need_layer(layer, set, laid_out);
        need_layer(snapshot.layer, set, false);
      }
    } catch (const Error&) {
      hold_everything();
    }
  }

  void hold_everything() {
    keep_layers_ = sets_.of(kSomebody);
    keep_objects_ = keep_layers_;
  }
  void need_layer(const std::string& name, SetId set, bool laid_out) {
    if (name.empty()) return;
    Layer& layer = layers_[name];
    layer.users = sets_.unite(layer.users, set);
    if (laid_out) layer.tree_users = sets_.unite(layer.tree_users, set);
  }
  void need_object(const std::string& name, SetId set) {
    if (!name.empty()) need_object(Digest::parse(name), set);
  }
  void need_object(const Digest& name, SetId set) {
    Object& object = found_objects_[name];
    object.users = sets_.unite(object.users, set);
  }
  [[nodiscard]] bool is_wanted(SetId set) const {
    return std::ranges::any_of(sets_.members(set), [&](User user) { return wanted_.contains(user); });
  }

  // --- inodes

  void add_bytes(SetId set, std::uint64_t bytes) {
    if (set != UserSets::kNobody) bytes_[set] += bytes;
  }
  void add_linked(const LinkedInode& inode, SetId set) {
    auto [found, added] = linked_.try_emplace(InodeKey{inode.device, inode.inode}, Linked{inode, set});
    if (added) return;
    found->second.inode.names += inode.names;
    found->second.users = sets_.unite(found->second.users, set);
  }
  void add_inode(const struct stat& info, SetId set) {
    if (may_have_other_names(info)) {
      add_linked(linked_inode(info), set);
    } else {
      add_bytes(set, bytes_on_disk(info));
    }
  }
  void add_file(FdRef dir, const std::string& name, SetId set) {
    if (const auto info = stat_at(dir, name)) add_inode(*info, set);
  }
  void add_sizes(const TreeSizes& sizes, SetId set) {
    add_bytes(set, sizes.own);
    for (const LinkedInode& inode : sizes.linked) add_linked(inode, set);
  }
  /// Something of these environments cannot be told.
  void give_up(SetId set) {
    const auto& users = sets_.members(set);
    incomplete_.insert(users.begin(), users.end());
  }

  // --- layers

  void read_layer(const std::string& name, Layer& layer) {
    cancel_.check();
    // What has it in use although it is unreadable may need any object; who uses it is told nothing.
    const auto damaged = [&] {
      give_up(layer.users);
      if (layer.users != UserSets::kNobody) keep_objects_ = sets_.of(kSomebody);
    };
    layer.users = sets_.unite(layer.users, keep_layers_);
    layer.tree_users = sets_.unite(layer.tree_users, keep_layers_);
    layer.has_tree = exists_at(layout_.trees(), name);
    need_object(name, layer.users);
    add_file(layout_.store(), "layers/" + name, layer.users);
    try {
      layer.record = LayerStore(layout_).find(Digest::parse(name));
      if (!layer.record) return damaged();
      need_object(layer.record->mtimes_object, layer.users);
      const UniqueFd index =
          objects_.open_verified(layer.record->index_object, max_index_bytes(layer.record->entries));
      need_tree_for_objects(layer, index);
      const Heads heads = group_heads(index);
      if (layer.has_tree && is_wanted(layer.tree_users)) add_tree(name, layer, index, heads);
      for_each_entry(index, [&](const IndexEntry& entry) {
        if (entry.type != EntryType::Regular || entry.size == 0) return;
        Object& object = found_objects_[entry.content];
        object.users = sets_.unite(object.users, layer.users);
        if (layer.has_tree && !layer.read_inside && may_be_object(layer, entry, heads)) ++object.files;
      });
    } catch (const Error&) {
      damaged();
    }
  }

  /// gc keeps the tree of an archived environment if it could not be laid out again.
  void need_tree_for_objects(Layer& layer, FdRef index) {
    if (!layer.has_tree || layer.tree_users != UserSets::kNobody || layer.users == UserSets::kNobody) return;
    bool whole = objects_.contains(layer.record->mtimes_object);
    for_each_entry(index, [&](const IndexEntry& entry) {
      whole =
          whole && (entry.type != EntryType::Regular || entry.size == 0 || objects_.contains(entry.content));
    });
    if (!whole) layer.tree_users = layer.users;
  }

  using Heads = std::unordered_set<std::string>;
  static Heads group_heads(FdRef index) {
    Heads heads;
    for_each_entry(index, [&](const IndexEntry& entry) {
      if (entry.type == EntryType::HardLink) heads.insert(entry.link_target.str());
    });
    return heads;
  }
  static bool may_be_object(const Layer& layer, const IndexEntry& entry, const Heads& heads) {
    const bool flat = layer.record->ownership != "mapped";
    return entry.type == EntryType::Regular && entry.size > 0 &&
           (heads.empty() || !heads.contains(entry.path.str())) &&
           is_shareable(mode_on_disk(entry.mode, flat), flat);
  }

  /// What of a tree is certainly no object.
  void add_tree(const std::string& name, Layer& layer, FdRef index, const Heads& heads) {
    std::vector<struct stat> found;
    try {
      TreeStat stat_entry(open_directory(layout_.trees(), name));
      for_each_entry(index, [&](const IndexEntry& entry) {
        if (may_be_object(layer, entry, heads)) return;
        if (const auto info = stat_entry(entry)) found.push_back(*info);
      });
    } catch (const Error& error) {
      if (!is_closed(error)) throw;
      return add_tree_inside(name, layer);
    }
    for (const struct stat& info : found) add_inode(info, layer.tree_users);
  }

  void add_tree_inside(const std::string& name, Layer& layer) {
    try {
      if (!question_.inside) return give_up(layer.tree_users);
      add_sizes(question_.inside("trees/" + name), layer.tree_users);
      layer.read_inside = true;
    } catch (const Error&) {
      give_up(layer.tree_users);
    }
  }

  // --- artefacts, build records

  void add_packages() {
    std::map<std::string, SetId> users;
    for (User user = 1; user < ids_.size(); ++user) {
      const auto named = question_.packages.find(ids_[user]);
      if (named == question_.packages.end()) continue;
      for (const std::string& sha256 : named->second)
        users[sha256] = sets_.unite(users[sha256], sets_.of(user));
    }
    if (question_.all_packages) keep_objects_ = sets_.of(kSomebody);
    const UniqueFd packages = layout_.open_dir("store/packages");
    for (const auto& [sha256, named] : users) {
      const SetId set =
          question_.all_packages ? sets_.unite(named, keep_objects_) : sets_.unite(named, keep_layers_);
      const auto info = stat_at(packages, sha256);
      if (!info || !S_ISREG(info->st_mode)) continue;
      add_inode(*info, set);
      if (info->st_nlink > 1) {
        // Its other name is that of an object, which may be in no index.
        package_inodes_.insert({info->st_dev, info->st_ino});
      } else if (is_wanted(set)) {
        need_object(hash_file(open_beneath(packages, sha256, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)), set);
      }
    }
  }

  void add_builds() {
    const BuildCache cache(layout_);
    const UniqueFd builds = layout_.open_dir("store/builds");
    for (const DirectoryEntry& entry : list_directory(builds)) {
      if (!Digest::is_valid(entry.name)) continue;
      const std::optional<Digest> layer = cache.find(Digest::parse(entry.name));
      const auto users = layer ? layers_.find(layer->hex()) : layers_.end();
      if (users != layers_.end()) add_file(builds, entry.name, users->second.users);
    }
  }

  // --- objects

  void add_objects() {
    const UniqueFd dir = layout_.objects();
    for (auto& [digest, object] : found_objects_) {
      object.users = sets_.unite(object.users, keep_objects_);
      if (!is_wanted(object.users)) continue;
      cancel_.check();
      const auto info = stat_at(dir, digest.hex());
      if (!info) {
        parted_.insert(digest);
        continue;
      }
      const InodeKey key{info->st_dev, info->st_ino};
      const auto known = linked_.find(key);
      const std::uint64_t elsewhere = known == linked_.end() ? 0 : known->second.inode.names;
      const bool together = info->st_nlink == 1 + object.files + elsewhere;
      if (!together) parted_.insert(digest);
      package_inodes_.erase(key);
      if (info->st_nlink == 1 || (together && known == linked_.end())) {
        add_bytes(object.users, bytes_on_disk(*info));
        continue;
      }
      LinkedInode inode = linked_inode(*info);
      if (together) inode.names += static_cast<std::uint32_t>(object.files);
      add_linked(inode, object.users);
    }
    // Those that are left are objects by no index.
    for (const InodeKey& key : package_inodes_) ++linked_.at(key).inode.names;
  }

  /// Trees whose files may be copies of these objects.
  void look_at_parted() {
    for (auto& [name, layer] : layers_) {
      if (!layer.has_tree || !layer.record || layer.read_inside) continue;
      try {
        look_at_parted(name, layer);
      } catch (const Error&) {
        give_up(layer.tree_users);
      }
    }
  }

  void look_at_parted(const std::string& name, Layer& layer) {
    cancel_.check();
    const UniqueFd index =
        objects_.open_verified(layer.record->index_object, max_index_bytes(layer.record->entries));
    const Heads heads = group_heads(index);
    const auto is_parted = [&](const IndexEntry& entry) {
      return may_be_object(layer, entry, heads) && parted_.contains(entry.content);
    };
    std::vector<struct stat> found;
    try {
      std::optional<TreeStat> stat_entry;
      for_each_entry(index, [&](const IndexEntry& entry) {
        if (!is_parted(entry)) return;
        if (!stat_entry) stat_entry.emplace(open_directory(layout_.trees(), name));
        if (const auto info = (*stat_entry)(entry)) found.push_back(*info);
      });
    } catch (const Error& error) {
      if (!is_closed(error) || !question_.inside) throw;
      return look_at_parted_inside(name, layer, index, heads);
    }
    for (const struct stat& info : found) add_inode(info, layer.tree_users);
  }

  /// What was counted before must not be counted again: directories, links, files that are their objects.
  void look_at_parted_inside(const std::string& name, Layer& layer, FdRef index, const Heads& heads) {
    const TreeSizes sizes = question_.inside("trees/" + name);
    for (const LinkedInode& inode : sizes.linked) {
      if (linked_.contains({inode.device, inode.inode})) add_linked(inode, layer.tree_users);
    }
    if (!is_wanted(layer.tree_users)) return;
    // The rest of what has one name are copies.
    std::uint64_t counted = 0;
    TreeStat stat_entry(open_directory(layout_.trees(), name));
    for_each_entry(index, [&](const IndexEntry& entry) {
      if (may_be_object(layer, entry, heads)) return;
      if (const auto info = stat_entry(entry); info && !may_have_other_names(*info))
        counted += bytes_on_disk(*info);
    });
    add_bytes(layer.tree_users, sizes.own - std::min(sizes.own, counted));
  }

  // --- environments

  void add_environment(User user) {
    try {
      add_sizes(sizes_of(layout_, "env/" + ids_[user], question_.inside, cancel_), sets_.of(user));
    } catch (const Error&) {
      incomplete_.insert(user);
    }
  }

  std::map<std::string, std::optional<DiskUse>> sum() {
    for (const auto& [key, linked] : linked_) {
      const bool known = linked.inode.names >= linked.inode.links;
      add_bytes(known ? linked.users : sets_.unite(linked.users, sets_.of(kSomebody)), linked.inode.bytes);
    }
    std::map<User, DiskUse> uses;
    for (const User user : wanted_) uses[user];
    for (const auto& [set, bytes] : bytes_) {
      const std::vector<User>& users = sets_.members(set);
      for (const User user : users) {
        const auto use = uses.find(user);
        if (use == uses.end()) continue;
        (users.size() == 1 ? use->second.exclusive : use->second.shared) += bytes;
      }
    }
    std::map<std::string, std::optional<DiskUse>> result;
    for (const auto& [user, use] : uses)
      result[ids_[user]] = incomplete_.contains(user) ? std::nullopt : std::optional(use);
    return result;
  }

  const StoreLayout& layout_;
  const DiskUseQuestion& question_;
  const CancelToken& cancel_;
  ObjectStore objects_;
  UserSets sets_;
  std::vector<std::string> ids_ = {""};  // by user; the first is kSomebody
  std::set<User> wanted_;
  std::set<User> incomplete_;
  SetId keep_layers_ = UserSets::kNobody;  // kSomebody if gc would keep all of them
  SetId keep_objects_ = UserSets::kNobody;
  std::map<std::string, Layer> layers_;
  std::unordered_map<Digest, Object> found_objects_;
  std::unordered_set<Digest> parted_;  // objects that are not the inode of every file made of them
  std::unordered_set<InodeKey, InodeKeyHash> package_inodes_;
  std::unordered_map<InodeKey, Linked, InodeKeyHash> linked_;
  std::map<SetId, std::uint64_t> bytes_;
};

}  // namespace

std::map<std::string, std::optional<DiskUse>> measure_disk_use(const StoreLayout& layout,
                                                               const DiskUseQuestion& question,
                                                               const CancelToken& cancel) {
  return with_context([] { return "measuring what environments occupy"; },
                      [&] { return Meter(layout, question, cancel).run(); });
}

}  // namespace karapace::store
