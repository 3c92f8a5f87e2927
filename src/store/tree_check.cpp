// SPDX-License-Identifier: Apache-2.0
// A tree beside its index, entry by entry in the order of the index: a directory's names are read once and
// claimed one after the other, so neither the tree nor the index lies in memory, and a file that is the inode
// of an object that was looked at costs nothing but its name.
#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <unordered_map>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "karapace/base/xattr.hpp"
#include "karapace/store/integrity.hpp"
#include "object_table.hpp"
#include "tree_walk.hpp"

namespace karapace::store {
namespace {

/// Open at once, however deep the tree is.
constexpr std::size_t kOpenLevels = 16;

/// Outside of the user namespace a capability names the namespace's root, inside it does not. Both are the
/// same to us.
void forget_capability_value(IndexEntry& entry) {
  if (entry.xattrs.empty()) return;
  Xattrs xattrs = entry.xattrs;
  for (auto& [key, value] : xattrs) {
    if (key == "security.capability") value.clear();
  }
  entry.xattrs = std::move(xattrs);
}

/// Content and links apart.
bool looks_right(IndexEntry wanted, IndexEntry& seen, bool flat) {
  wanted.content = Digest();
  forget_capability_value(wanted);
  forget_capability_value(seen);
  return same_tree_entry(wanted, seen, flat);
}

/// A directory that the index has named. It is gone through when the first entry in it comes, if one comes.
struct Directory {
  std::string path;
  UniqueFd fd;                        // may be closed: dir_of opens it again
  std::vector<DirectoryEntry> names;  // sorted
  std::size_t next = 0;               // before it, all are claimed
  std::vector<Directory> inner;       // that the index has named in it, and not yet gone through
};

/// Names of one inode that has more than one.
struct Group {
  std::uint64_t links = 0;
  struct Member {
    std::string path;
    std::string target;  // of the hard link that the index has there; empty: it has something of its own
  };
  std::vector<Member> members;
};

class TreeChecker {
 public:
  TreeChecker(FdRef tree, FdRef objects, const ObjectTable* seen, bool flat, const CancelToken& cancel,
              std::size_t limit)
      : tree_(tree), objects_(objects), seen_(seen), flat_(flat), cancel_(cancel), limit_(limit) {}

  std::vector<std::string> run(IndexReader& index) {
    device_ = tree_io::info_of(tree_).device;
    if (seen_ != nullptr && seen_->device() != device_) seen_ = nullptr;
    for (IndexEntry wanted; faults_.size() < limit_ && index.next(wanted);) {
      cancel_.check();
      with_context([&] { return "\"" + printable(wanted.path) + "\""; }, [&] { check(wanted); });
    }
    while (!open_.empty()) leave();
    check_groups();
    std::ranges::sort(faults_);
    faults_.erase(std::unique(faults_.begin(), faults_.end()), faults_.end());
    if (faults_.size() > limit_) faults_.resize(limit_);
    return std::move(faults_);
  }

 private:
  void fault(std::string_view path) {
    if (faults_.size() < 2 * limit_) faults_.push_back(path.empty() ? "." : printable(path));
  }

  static std::string below(const Directory& dir, const std::string& name) {
    return dir.path.empty() ? name : dir.path + "/" + name;
  }

  void check(const IndexEntry& wanted) {
    if (wanted.path.empty()) {
      open_.push_back(open_directory_entry(wanted, tree_io::open_tree_dir(tree_, "")));
      return;
    }
    go_to(parent_of(wanted));
    const std::string name = name_of(wanted);
    const DirectoryEntry* found = claim(open_.back(), name);
    if (wanted.type == EntryType::Directory) {
      add_directory(wanted, name, found);
    } else if (found == nullptr || (!is_seen_object(wanted, *found) && !is_right(wanted, name))) {
      fault(wanted.path);
    }
  }

  // --- directories

  /// Every directory of the index was named before what is in it, so the way there is open or remembered.
  void go_to(std::string_view parent) {
    while (open_.back().path != parent) {
      Directory& top = open_.back();
      const bool is_inside = parent.starts_with(top.path) &&
                             (top.path.empty() || parent.substr(top.path.size()).starts_with('/'));
      if (!is_inside) {
        leave();
        continue;
      }
      const auto step = std::ranges::find_if(top.inner, [&](const Directory& dir) {
        return parent.starts_with(dir.path) &&
               (parent.size() == dir.path.size() || parent[dir.path.size()] == '/');
      });
      if (step == top.inner.end()) throw CorruptError("index", "a directory before what is in it", "none");
      Directory dir = std::move(*step);
      top.inner.erase(step);
      open_.push_back(std::move(dir));
      if (open_.size() > kOpenLevels) open_[open_.size() - 1 - kOpenLevels].fd.reset();
    }
  }

  /// What no entry has claimed should not be there.
  void leave() {
    const Directory dir = std::move(open_.back());
    open_.pop_back();
    const auto report_rest = [&](const Directory& done) {
      for (std::size_t i = done.next; i < done.names.size(); ++i) fault(below(done, done.names[i].name));
    };
    report_rest(dir);
    for (const Directory& empty : dir.inner) report_rest(empty);
  }

  /// Entries of one directory come in the order of their names.
  const DirectoryEntry* claim(Directory& dir, const std::string& name) {
    for (; dir.next < dir.names.size() && dir.names[dir.next].name < name; ++dir.next)
      fault(below(dir, dir.names[dir.next].name));
    if (dir.next == dir.names.size() || dir.names[dir.next].name != name) return nullptr;
    return &dir.names[dir.next++];
  }

  FdRef dir_of(Directory& dir) {
    if (!dir.fd) dir.fd = tree_io::open_tree_dir(tree_, dir.path);
    return dir.fd;
  }

  void add_directory(const IndexEntry& wanted, const std::string& name, const DirectoryEntry* found) {
    std::vector<Directory>& inner = open_.back().inner;
    if (!inner.empty()) inner.back().fd.reset();
    const bool is_there = found != nullptr && S_ISDIR(tree_io::info_at(dir_of(open_.back()), name).mode);
    if (is_there) {
      inner.push_back(open_directory_entry(wanted, tree_io::open_tree_dir(dir_of(open_.back()), name)));
    } else {
      fault(wanted.path);
      inner.push_back({.path = wanted.path.str(), .fd = {}, .names = {}, .next = 0, .inner = {}});
    }
  }

  Directory open_directory_entry(const IndexEntry& wanted, UniqueFd fd) {
    const tree_io::FileInfo info = tree_io::info_of(fd);
    IndexEntry seen;
    seen.path = wanted.path;
    static_cast<void>(describe_entry(fd, ".", info, flat_, seen));
    SplitXattrs xattrs = split_xattrs(tree_io::read_xattrs(fd), flat_, wanted.path.str());
    seen.xattrs = std::move(xattrs.kept);
    seen.opaque = xattrs.opaque;
    if (info.device != device_ || !looks_right(wanted, seen, flat_)) fault(wanted.path);
    std::vector<DirectoryEntry> names = list_directory(fd);
    return {
        .path = wanted.path.str(), .fd = std::move(fd), .names = std::move(names), .next = 0, .inner = {}};
  }

  // --- files

  /// The inode of an object whose bytes and attributes are known. Its other name, the object's, keeps it out
  /// of the tree's groups of hard links.
  [[nodiscard]] bool is_seen_object(const IndexEntry& wanted, const DirectoryEntry& found) const {
    if (seen_ == nullptr || !flat_ || wanted.type != EntryType::Regular || !wanted.xattrs.empty())
      return false;
    const SeenObject* object = wanted.size > 0 ? seen_->find(wanted.content) : nullptr;
    return object != nullptr && object->is_plain && object->inode == found.inode &&
           object->size == wanted.size && object->mode == mode_on_disk(wanted.mode, flat_);
  }

  [[nodiscard]] bool is_right(const IndexEntry& wanted, const std::string& name) {
    const FdRef dir = dir_of(open_.back());
    const tree_io::FileInfo info = tree_io::info_at(dir, name);
    const bool is_object = wanted.type == EntryType::Regular && wanted.size > 0 && is_inode_of(wanted, info);
    // The overlay makes all whiteouts names of one inode, and its own name for that inode comes and goes.
    const bool is_whiteout = S_ISCHR(info.mode);
    if (info.links > 1 && !S_ISDIR(info.mode) && !is_whiteout && !is_object) {
      Group& group = groups_[info.inode];
      group.links = info.links;
      // A symlink has a target too, and may be the first name of a group.
      const bool is_link = wanted.type == EntryType::HardLink;
      group.members.push_back({wanted.path.str(), is_link ? wanted.link_target.str() : std::string()});
    }
    // With one name it is a link to nothing; with more, the group tells.
    if (wanted.type == EntryType::HardLink) return info.links > 1 && info.device == device_;
    IndexEntry seen;
    seen.path = wanted.path;
    if (info.device != device_ || !describe_entry(dir, name, info, flat_, seen)) return false;
    if (seen.type == EntryType::Regular)
      seen.xattrs = split_xattrs(list_xattrs(dir, name), flat_, wanted.path.str()).kept;
    if (!looks_right(wanted, seen, flat_)) return false;
    return wanted.type != EntryType::Regular || wanted.size == 0 || is_object ||
           hash_file(tree_io::open_entry(dir, name), wanted.size) == wanted.content;
  }

  /// Whoever hashes the objects has seen these bytes.
  [[nodiscard]] bool is_inode_of(const IndexEntry& wanted, const tree_io::FileInfo& info) const {
    const std::optional<struct stat> object = stat_at(objects_, wanted.content.hex());
    return object && object->st_dev == info.device && object->st_ino == info.inode;
  }

  /// A group whose names are all in the tree is one in the index too, under its first name; all others are
  /// files of their own there.
  void check_groups() {
    for (const auto& [inode, group] : groups_) {
      const bool is_whole = group.members.size() == group.links;
      for (const Group::Member& member : group.members) {
        const bool is_head = &member == &group.members.front();
        if (member.target != (is_whole && !is_head ? group.members.front().path : "")) fault(member.path);
      }
    }
  }

  FdRef tree_;
  FdRef objects_;
  const ObjectTable* seen_;
  bool flat_;
  const CancelToken& cancel_;
  std::size_t limit_;
  std::uint64_t device_ = 0;
  std::vector<Directory> open_;  // from the root to where the index is
  std::unordered_map<std::uint64_t, Group> groups_;
  std::vector<std::string> faults_;
};

}  // namespace

std::vector<std::string> find_tree_faults(FdRef tree, FdRef objects, IndexReader index, bool flat,
                                          const CancelToken& cancel, const ObjectTable* seen,
                                          std::size_t limit) {
  return TreeChecker(tree, objects, seen, flat, cancel, limit).run(index);
}

}  // namespace karapace::store
