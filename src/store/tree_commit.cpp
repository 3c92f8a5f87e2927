// SPDX-License-Identifier: Apache-2.0
// Steps 1 and 4 of a commit: the work on trees.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <mutex>
#include <unordered_set>

#include "karapace/base/durable.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/exchange.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "karapace/store/commit.hpp"
#include "karapace/store/index_stream.hpp"
#include "layer_text.hpp"
#include "object_linker.hpp"
#include "tree_finish.hpp"
#include "tree_walk.hpp"

namespace karapace::store {
namespace {

constexpr std::size_t kMaxIndex = 1024UL * 1024 * 1024;
constexpr const char* kFresh = "fresh";
constexpr const char* kCopies = "copies";
constexpr const char* kIndex = "index";
constexpr const char* kMtimes = "mtimes";
constexpr const char* kNoted = "noted";
constexpr const char* kMapped = "mapped";

Xattrs marked(Xattrs xattrs, bool flat) {
  std::erase_if(xattrs, [](const auto& item) { return is_layer_mark(item.first); });
  if (flat) return xattrs;
  xattrs.emplace_back(kOwnershipMark, kMapped);
  std::ranges::sort(xattrs);
  return xattrs;
}

/// A root directory as it is on disk.
struct RootAttributes {
  std::uint32_t mode = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  tree_io::Xattrs xattrs;
  bool opaque = false;
  bool operator==(const RootAttributes&) const = default;
};

RootAttributes root_attributes(FdRef dir, bool flat) {
  const tree_io::FileInfo info = tree_io::info_of(dir);
  SplitXattrs split = split_xattrs(tree_io::read_xattrs(dir), flat, "");
  return {tree_io::permissions(info.mode), flat ? 0 : info.uid, flat ? 0 : info.gid,
          marked(std::move(split.kept), true), split.opaque};
}

/// Builds make the first upper directory outside the user namespace, where they cannot give it to root.
RootAttributes upper_attributes(FdRef upper, const RootAttributes& below, bool flat,
                                std::uint32_t build_uid) {
  RootAttributes found = root_attributes(upper, flat);
  if (!flat && build_uid != 0 && found.uid == build_uid) {
    found.uid = below.uid;
    found.gid = below.gid;
  }
  return found;
}

void make_fresh(FdRef staging, const RootAttributes& attributes, std::int64_t mtime_ns, bool flat) {
  make_directory_at(staging, kFresh, 0700);
  const UniqueFd fresh = open_directory(staging, kFresh);
  apply_attributes(fresh, {attributes.mode, attributes.uid, attributes.gid, mtime_ns, attributes.xattrs},
                   flat);
}

UniqueFd create_staged(FdRef staging, const std::string& name) {
  UniqueFd file = tree_io::create_file(staging, name);
  // The engine outside reads it under another id.
  tree_io::set_mode(file, 0444);
  return file;
}

/// Of the layer, if the store has it already.
std::optional<Digest> times_in_store(FdRef root, const Digest& layer) {
  try {
    const std::optional<LayerRecord> record = find_layer(open_directory(root, "store/layers"), layer);
    return record ? std::optional(record->mtimes_object) : std::nullopt;
  } catch (const CorruptError&) {
    return std::nullopt;  // it is about to be replaced by a good one
  }
}

/// A tree has one set of times. Equal files with other times are another layer, so that nobody's times are
/// lost to whoever came first.
IndexSummary stage_index(std::vector<IndexEntry>& entries, FdRef staging, FdRef root) {
  const auto write = [&] {
    return write_index(entries, create_staged(staging, kIndex), create_staged(staging, kMtimes));
  };
  const IndexSummary summary = write();
  const std::optional<Digest> times = times_in_store(root, summary.hash);
  if (!times || *times == summary.mtimes) return summary;
  mark_times(entries.front(), summary.mtimes);
  unlink_at(staging, kIndex);
  unlink_at(staging, kMtimes);
  return write();
}

/// Positions as four bytes each, low byte first.
void write_noted(FdRef staging, const std::vector<std::uint8_t>& flags) {
  std::string bytes;
  for (std::uint32_t index = 0; index < flags.size(); ++index) {
    if ((flags[index] & HasNotes) == 0) continue;
    for (unsigned shift = 0; shift < 32; shift += 8) bytes += static_cast<char>((index >> shift) & 0xFFU);
  }
  write_all(create_staged(staging, kNoted), bytes);
}

std::vector<std::uint32_t> read_noted(FdRef staging) {
  constexpr std::size_t kBytes = sizeof(std::uint32_t);
  const std::string bytes = read_file_at(staging, kNoted, kMaxIndex);
  std::vector<std::uint32_t> noted(bytes.size() / kBytes);
  for (std::size_t i = 0; i < noted.size() * kBytes; ++i)
    noted[i / kBytes] |= std::uint32_t{static_cast<std::uint8_t>(bytes[i])} << (8 * (i % kBytes));
  return noted;
}

class Preparer {
 public:
  Preparer(FdRef upper, FdRef staging, FdRef objects, const CommitOptions& options, Walk walk)
      : upper_(upper), staging_(staging), objects_(objects), options_(options), walk_(std::move(walk)) {
    make_directory_at(staging_, kCopies, 0700);
    copies_ = open_directory(staging_, kCopies);
  }

  Walk run(ProgressSink& progress, const CancelToken& cancel) {
    for_each_file(
        upper_, walk_.entries, options_.threads,
        [this](FdRef dir, std::size_t index) { read_file(dir, index); }, progress, cancel);
    return std::move(walk_);
  }

 private:
  void read_file(FdRef dir, std::size_t index) {
    IndexEntry& entry = walk_.entries[index];
    const UniqueFd file = tree_io::open_entry(dir, name_of(entry));
    SplitXattrs xattrs = split_xattrs(tree_io::read_xattrs(file), options_.flat, entry.path);
    entry.xattrs = std::move(xattrs.kept);
    entry.content = hash_as_seen(file, entry).content;
    const bool own_object = (walk_.flags[index] & GroupHead) == 0 &&
                            is_shareable(mode_on_disk(entry.mode, options_.flat), options_.flat);
    if (entry.size > 0 && !own_object) stage_copy(file, entry.content.hex());
    if (!xattrs.dropped.empty()) walk_.flags[index] |= HasNotes;
  }

  /// Now and not in step 4, because it needs space.
  void stage_copy(FdRef file, const std::string& object) {
    {
      const std::lock_guard guard(mutex_);
      if (exists_at(objects_, object) || !copied_.insert(object).second) return;
    }
    const UniqueFd copy = tree_io::create_file(copies_, object);
    tree_io::copy_contents(file, copy);
    tree_io::set_mode(copy, 0444);
  }

  FdRef upper_;
  FdRef staging_;
  FdRef objects_;
  CommitOptions options_;
  Walk walk_;
  UniqueFd copies_;
  std::mutex mutex_;
  std::unordered_set<std::string> copied_;
};

/// What is staged under `name`, or has got its name as an object already: not every file system keeps the
/// order of names over a power cut.
UniqueFd open_staged(FdRef staging, const char* name, FdRef objects, const Digest& expected) {
  constexpr int kFlags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;
  auto file = try_open_beneath(staging, name, kFlags);
  if (!file) file = try_open_beneath(objects, expected.hex(), kFlags);
  const std::string what = std::string("the staged ") + name;
  if (!file) throw CorruptError(what, expected.hex(), "nothing");
  if (const Digest found = hash_file(*file); found != expected)
    throw CorruptError(what, expected.hex(), found.hex());
  return std::move(*file);
}

KnownTree staged_tree(FdRef staging, FdRef objects, const SwitchPlan& plan, bool begun) {
  KnownTree tree{read_index(open_staged(staging, kIndex, objects, *plan.layer)), read_noted(staging), begun};
  apply_mtimes(tree.entries, read_all(open_staged(staging, kMtimes, objects, plan.mtimes), kMaxIndex,
                                      tree.entries.size() * sizeof(std::uint64_t)));
  return tree;
}

bool is_inode(FdRef dir, const char* name, std::uint64_t inode) {
  const std::optional<struct stat> info = stat_at(dir, name);
  return info && S_ISDIR(info->st_mode) && info->st_ino == inode;
}

void publish_copies(FdRef staging, FdRef objects) {
  if (!exists_at(staging, kCopies)) return;
  const UniqueFd copies = open_directory(staging, kCopies);
  for (const DirectoryEntry& copy : list_directory(copies)) {
    if (!rename_at(copies, copy.name, objects, copy.name, Replace::No)) unlink_at(copies, copy.name);
  }
}

/// The tree has its name. Not every file system keeps the order, so after a power cut names of objects that
/// were given before it may be missing.
void complete_objects(FdRef root, FdRef staging, const SwitchPlan& plan) {
  const auto tree = try_open_beneath(root, "trees/" + plan.layer->hex(), O_RDONLY | O_DIRECTORY);
  const UniqueFd objects = open_directory(root, "store/objects");
  if (!tree) return;
  publish_copies(staging, objects);
  link_missing_objects(*tree, objects, read_index(open_staged(staging, kIndex, objects, *plan.layer)),
                       plan.flat);
}

}  // namespace

bool is_upper_clean(FdRef upper, FdRef below, bool flat, std::uint32_t build_uid) {
  if (!list_directory(upper).empty()) return false;
  const RootAttributes lower = root_attributes(below, flat);
  return upper_attributes(upper, lower, flat, build_uid) == lower;
}

void discard_preparation(FdRef staging) {
  for (const char* name : {kFresh, kCopies, kIndex, kMtimes, kNoted}) remove_tree_at(staging, name);
}

void stage_fresh_upper(FdRef staging, FdRef below, bool flat) {
  make_fresh(staging, root_attributes(below, flat), tree_io::info_of(below).mtime_ns, flat);
}

void mark_times(IndexEntry& root, const std::optional<Digest>& mtimes) {
  Xattrs xattrs = root.xattrs;
  std::erase_if(xattrs, [](const auto& item) { return item.first == kTimesMark; });
  if (mtimes) xattrs.emplace_back(kTimesMark, mtimes->hex());
  std::ranges::sort(xattrs);
  root.xattrs = std::move(xattrs);
}

CommitPreparation prepare_commit(FdRef upper, FdRef below, FdRef staging, FdRef root_of_store,
                                 const CommitOptions& options, ProgressSink& progress,
                                 const CancelToken& cancel) {
  CommitPreparation result;
  const UniqueFd objects = open_directory(root_of_store, "store/objects");
  const RootAttributes lower = root_attributes(below, options.flat);
  const RootAttributes own = upper_attributes(upper, lower, options.flat, options.build_uid);
  Walk walk = walk_tree(upper, WalkOptions{options.flat, nullptr}, cancel);
  if (walk.entries.size() == 1 && own == lower) return result;

  IndexEntry& root = walk.entries.front();
  root.uid = own.uid;
  root.gid = own.gid;
  root.xattrs = marked(root.xattrs, options.flat);
  const tree_io::FileInfo info = tree_io::info_of(upper);
  make_fresh(staging, own, info.mtime_ns, options.flat);
  walk = Preparer(upper, staging, objects, options, std::move(walk)).run(progress, cancel);

  const IndexSummary summary = stage_index(walk.entries, staging, root_of_store);
  write_noted(staging, walk.flags);
  result.changed = true;
  result.hash = summary.hash;
  result.mtimes = summary.mtimes;
  result.entries = summary.entries;
  result.bytes = summary.bytes;
  result.upper_inode = info.inode;
  return result;
}

void finish_switch_trees(FdRef root, const std::string& op_id, ProgressSink& progress,
                         const CancelToken& cancel) {
  const UniqueFd staging = open_directory(root, "store/staging/" + op_id);
  const std::optional<SwitchPlan> plan = read_switch_plan(staging);
  if (!plan) throw Error(ErrorCode::NotFound, "operation " + op_id + " has no plan");
  const UniqueFd environment = open_directory(root, "env/" + plan->env_id);
  const bool begun = !is_inode(environment, "upper", plan->upper_inode);
  if (!begun) exchange_at(environment, "upper", staging, kFresh);
  if (!plan->layer) return;
  if (!is_inode(staging, kFresh, plan->upper_inode)) return complete_objects(root, staging, *plan);
  // A tree of that name has the same files, and others may be using it: ours goes with the staging directory.
  const UniqueFd trees = open_directory(root, "trees");
  const UniqueFd objects = open_directory(root, "store/objects");
  if (exists_at(trees, plan->layer->hex())) return;

  publish_copies(staging, objects);
  const KnownTree known = staged_tree(staging, objects, *plan, begun);
  const UniqueFd tree = open_directory(staging, kFresh);
  const IndexEntry& top = known.entries.front();
  if (!plan->flat) tree_io::set_owner(tree, "", top.uid, top.gid);
  for (const auto& [key, value] : top.xattrs) {
    if (is_layer_mark(key)) tree_io::write_xattr(tree, key, value);
  }
  finish_tree(tree, objects, known, plan->flat, progress, cancel);
  rename_at(staging, kFresh, trees, plan->layer->hex(), Replace::No);
}

}  // namespace karapace::store
