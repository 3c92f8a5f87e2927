// SPDX-License-Identifier: Apache-2.0
#include "tree_walk.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <numeric>
#include <thread>
#include <unordered_map>

#include "chunked_list.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/fault.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/rel_path.hpp"
#include "karapace/base/text.hpp"
#include "karapace/base/xattr.hpp"

namespace karapace::store {
namespace {

constexpr std::uint32_t kFilesPerBatch = 32;
constexpr unsigned kWalkThreads = 2;
constexpr std::size_t kEntriesAtOnce = 512;

/// All names of one inode that has more than one.
struct Names {
  std::uint64_t links = 0;
  std::vector<std::uint32_t> entries;
};

[[noreturn]] void refuse(const std::string& path, std::string_view why, std::string fix = {}) {
  throw Error(ErrorCode::InvalidInput, fmt::format("\"{}\" {}", printable(path), why), std::move(fix));
}

/// Whoever looks from outside the user namespace sees whose root the capability is for (capabilities(7),
/// version 3); inside it is version 2, and that is what belongs to the identity.
bool names_a_root(std::string_view name, std::string_view value) {
  constexpr std::size_t kRevisionByte = 3;  // of a little-endian word
  return name == "security.capability" && value.size() > kRevisionByte && value[kRevisionByte] == 3;
}

void take_attributes(IndexEntry& entry, const tree_io::FileInfo& info, bool flat) {
  entry.mode = tree_io::permissions(info.mode);
  entry.uid = flat ? 0 : info.uid;
  entry.gid = flat ? 0 : info.gid;
  entry.mtime_ns = info.mtime_ns;
}

/// Several threads look at directories; what they find goes into one list.
class Walker {
 public:
  Walker(FdRef tree, const WalkOptions& options, const CancelToken& cancel)
      : tree_(tree), options_(options), cancel_(cancel) {}

  Walk run() {
    IndexEntry root;
    root.type = EntryType::Directory;
    const tree_io::FileInfo info = tree_io::info_of(tree_);
    device_ = info.device;
    take_attributes(root, info, options_.flat);
    entries_.push_back(std::move(root));
    flags_.push_back(NoFlags);
    directories_.push_back(0);
    {
      const unsigned threads = fault::in_lab() ? 1 : kWalkThreads;
      std::vector<std::jthread> helpers;
      for (unsigned i = 1; i < threads; ++i) helpers.emplace_back([this] { work(); });
      work();
    }
    if (failure_) std::rethrow_exception(failure_);
    if (options_.unsupported != nullptr) std::ranges::sort(*options_.unsupported);
    group_hard_links();
    sort();
    return {entries_.take(), flags_.take()};
  }

 private:
  /// What was found in a directory and is not in the list yet.
  struct Found {
    std::vector<IndexEntry> entries;
    std::vector<tree_io::FileInfo> files;  // of the entries
    std::vector<std::string> unsupported;
  };

  /// Breadth first: a thread has one open directory at a time, however deep the tree is.
  void work() noexcept {
    std::unique_lock lock(mutex_);
    while (true) {
      ready_.wait(lock, [this] { return failure_ || next_ < directories_.size() || busy_ == 0; });
      if (failure_ || next_ == directories_.size()) return;
      const std::uint32_t index = directories_[next_++];
      ++busy_;
      try {
        const std::string path(entries_[index].path.view());
        lock.unlock();
        cancel_.check();
        with_context([&] { return fmt::format("reading \"{}\"", printable(path)); },
                     [&] { visit(index, path); });
        lock.lock();
      } catch (...) {
        if (!lock.owns_lock()) lock.lock();
        if (!failure_) failure_ = std::current_exception();
      }
      --busy_;
      ready_.notify_all();
    }
  }

  void visit(std::uint32_t index, const std::string& path) {
    const UniqueFd dir = tree_io::open_tree_dir(tree_, path);
    SplitXattrs xattrs = split_xattrs(tree_io::read_xattrs(dir), options_.flat, path);
    {
      const std::lock_guard guard(mutex_);
      entries_[index].xattrs = std::move(xattrs.kept);
      entries_[index].opaque = xattrs.opaque;
      if (!xattrs.dropped.empty()) flags_[index] = HasNotes;
    }
    Found found;
    for (const DirectoryEntry& entry : list_directory(dir)) {
      visit_name(dir, path, entry.name, found);
      if (found.entries.size() == kEntriesAtOnce) add(found);
    }
    add(found);
  }

  void visit_name(FdRef dir, const std::string& parent, const std::string& name, Found& found) const {
    const tree_io::FileInfo info = tree_io::info_at(dir, name);
    IndexEntry entry;
    const std::string path = parent.empty() ? name : parent + "/" + name;
    check_path(path);
    entry.path = path;
    if (info.device != device_) refuse(entry.path, "is on another file system", "Unmount it and try again.");
    if (!describe_entry(dir, name, info, options_.flat, entry))
      return list_or_refuse(entry.path.str(), info, found);
    found.entries.push_back(std::move(entry));
    found.files.push_back(info);
  }

  void add(Found& found) {
    const std::lock_guard guard(mutex_);
    for (std::size_t i = 0; i < found.entries.size(); ++i) {
      IndexEntry& entry = found.entries[i];
      if (entry.type == EntryType::Directory) {
        directories_.push_back(static_cast<std::uint32_t>(entries_.size()));
        ready_.notify_one();
      } else if (entry.type != EntryType::Whiteout) {
        note_links(found.files[i]);
      }
      entries_.push_back(std::move(entry));
      flags_.push_back(NoFlags);
    }
    for (std::string& path : found.unsupported) options_.unsupported->push_back(std::move(path));
    found = {};
  }

  void list_or_refuse(std::string path, const tree_io::FileInfo& info, Found& found) const {
    if (options_.unsupported == nullptr) {
      refuse(path,
             S_ISSOCK(info.mode) ? "is a socket, which a layer cannot hold"
                                 : "is a device node, which a layer cannot hold",
             "Delete it and try again.");
    }
    found.unsupported.push_back(std::move(path));
  }

  static void check_path(const std::string& path) {
    const auto depth = static_cast<std::size_t>(std::ranges::count(path, '/')) + 1;
    if (path.size() > RelPath::kMaxLength || depth > RelPath::kMaxDepth) {
      refuse(path, "is longer or deeper than a layer can hold");
    }
  }

  void note_links(const tree_io::FileInfo& info) {
    if (info.links < 2) return;
    Names& names = names_[info.inode];
    names.links = info.links;
    names.entries.push_back(static_cast<std::uint32_t>(entries_.size()));
  }

  void group_hard_links() {
    for (auto& [inode, names] : names_) {
      if (names.entries.size() < names.links) {
        for (const std::uint32_t index : names.entries) flags_[index] = SharedInode;
        continue;
      }
      std::ranges::sort(names.entries, {}, [&](std::uint32_t index) { return entries_[index].path.view(); });
      const std::uint32_t head = names.entries.front();
      flags_[head] = GroupHead;
      for (const std::uint32_t index : names.entries) {
        if (index != head) make_hard_link(entries_[index], entries_[head]);
      }
    }
  }

  void sort() {
    std::vector<std::uint32_t> order(entries_.size());
    std::iota(order.begin(), order.end(), 0U);
    std::ranges::sort(order, {}, [&](std::uint32_t index) { return entries_[index].path.view(); });
    // In place, along the cycles of the permutation: a second list would double the memory.
    for (std::uint32_t start = 0; start < order.size(); ++start) {
      if (order[start] == start) continue;
      IndexEntry first = std::move(entries_[start]);
      const std::uint8_t first_flags = flags_[start];
      std::uint32_t to = start;
      for (std::uint32_t from = order[to]; from != start; to = from, from = order[to]) {
        entries_[to] = std::move(entries_[from]);
        flags_[to] = flags_[from];
        order[to] = to;
      }
      entries_[to] = std::move(first);
      flags_[to] = first_flags;
      order[to] = to;
    }
  }

  void make_hard_link(IndexEntry& entry, const IndexEntry& head) {
    IndexEntry link;
    link.path = std::move(entry.path);
    link.type = EntryType::HardLink;
    link.link_target = head.path;
    link.mtime_ns = head.mtime_ns;
    entry = std::move(link);
  }

  FdRef tree_;
  WalkOptions options_;
  const CancelToken& cancel_;
  std::uint64_t device_ = 0;
  std::mutex mutex_;  // of everything below, while there are threads
  std::condition_variable ready_;
  ChunkedList<IndexEntry> entries_;
  ChunkedList<std::uint8_t> flags_;  // one per entry
  std::vector<std::uint32_t> directories_;
  std::size_t next_ = 0;  // of directories_
  unsigned busy_ = 0;     // threads that look at one
  std::exception_ptr failure_;
  std::unordered_map<std::uint64_t, Names> names_;
};

/// State that the threads of for_each_file share.
struct Shared {
  std::atomic<std::size_t> next_batch{0};
  std::atomic<std::uint64_t> done{0};
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::exception_ptr failure;  // under mutex

  void fail(std::exception_ptr error) noexcept {
    const std::lock_guard guard(mutex);
    if (!failure) failure = std::move(error);
    stop = true;
  }
};

/// Neighbours that lie in one directory, some of them regular files.
struct Batch {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
};

struct Batches {
  std::vector<Batch> list;
  std::uint64_t files = 0;
};

Batches make_batches(const std::vector<IndexEntry>& entries) {
  Batches batches;
  std::string_view parent;
  std::uint32_t files = kFilesPerBatch;  // of the last batch: the first file begins one
  for (std::uint32_t i = 0; i < entries.size(); ++i) {
    if (entries[i].type != EntryType::Regular) continue;
    ++batches.files;
    if (files >= kFilesPerBatch || parent_of(entries[i]) != parent) {
      parent = parent_of(entries[i]);
      files = 0;
      batches.list.push_back({i, i});
    }
    // Between them lies nothing but entries of other types.
    batches.list.back().end = i + 1;
    ++files;
  }
  return batches;
}

void work_on_batch(FdRef tree, const std::vector<IndexEntry>& entries, const Batch& batch,
                   const FileWork& work, Shared& shared, const CancelToken& cancel) {
  const UniqueFd dir = tree_io::open_tree_dir(tree, std::string(parent_of(entries[batch.begin])));
  for (std::uint32_t i = batch.begin; i < batch.end && !shared.stop; ++i) {
    const IndexEntry& entry = entries[i];
    if (entry.type != EntryType::Regular) continue;
    cancel.check();
    with_context([&] { return fmt::format("\"{}\"", printable(entry.path)); }, [&] { work(dir, i); });
    ++shared.done;
  }
}

}  // namespace

Walk walk_tree(FdRef tree, const WalkOptions& options, const CancelToken& cancel) {
  return Walker(tree, options, cancel).run();
}

bool describe_entry(FdRef dir, const std::string& name, const tree_io::FileInfo& info, bool flat,
                    IndexEntry& entry) {
  take_attributes(entry, info, flat);
  switch (info.mode & S_IFMT) {
    case S_IFREG:
      entry.type = EntryType::Regular;
      entry.size = info.size;
      return true;
    case S_IFDIR:
      entry.type = EntryType::Directory;
      return true;
    case S_IFLNK:
      entry.type = EntryType::Symlink;
      entry.mode = 0777;  // the kernel knows no other, but some file systems show one
      entry.link_target = read_link_at(dir, name);
      break;
    case S_IFIFO:
      entry.type = EntryType::Fifo;
      break;
    default:
      if (!S_ISCHR(info.mode) || info.special_device != 0) return false;
      entry.type = EntryType::Whiteout;
      entry.mode = entry.uid = entry.gid = 0;  // it has no attributes of its own
      return true;
  }
  entry.xattrs = split_xattrs(list_xattrs(dir, name), flat, entry.path.str()).kept;
  return true;
}

SplitXattrs split_xattrs(tree_io::Xattrs found, bool flat, const std::string& path) {
  SplitXattrs result;
  for (auto& item : found) {
    const std::string_view name = item.first;
    if (name.starts_with("user.overlay.overlay.")) {
      // How the overlay keeps what a program inside called user.overlay.*: content like any other.
      result.kept.push_back(std::move(item));
    } else if (name == "user.overlay.redirect" || name == "user.overlay.metacopy") {
      refuse(path, "was written by an overlay with redirect_dir or metacopy and is not whole");
    } else if (name.starts_with("user.overlay.")) {
      result.opaque = result.opaque || (name == "user.overlay.opaque" && item.second == "y");
      if (name != "user.overlay.opaque" || item.second != "y")
        result.dropped.push_back(std::move(item.first));
    } else if (name.starts_with("user.") || name == "security.capability") {
      if (flat && names_a_root(name, item.second))
        throw SystemError(EPERM, "read a capability from outside its user namespace");
      result.kept.push_back(std::move(item));
    } else if (name == "system.posix_acl_access" || name == "system.posix_acl_default") {
      // An ACL is a list of ids, and a flat tree has only one.
      if (flat) {
        result.dropped.push_back(std::move(item.first));
      } else {
        result.kept.push_back(std::move(item));
      }
    }
    // Everything else (security.selinux, trusted.*, btrfs.*) belongs to the host.
  }
  return result;
}

std::string_view parent_of(const IndexEntry& entry) noexcept {
  const std::string_view path = entry.path;
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

std::string name_of(const IndexEntry& entry) {
  const std::string_view path = entry.path;
  const auto slash = path.rfind('/');
  return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

FdRef DirectoryCursor::directory_of(const IndexEntry& entry) {
  const std::string_view parent = parent_of(entry);
  if (!current_ || parent != path_) {
    current_ = tree_io::open_tree_dir(tree_, std::string(parent));
    path_ = parent;
  }
  return current_;
}

void for_each_file(FdRef tree, const std::vector<IndexEntry>& entries, unsigned threads, const FileWork& work,
                   ProgressSink& progress, const CancelToken& cancel) {
  const Batches batches = make_batches(entries);
  Shared shared;
  const auto run = [&](ProgressSink* sink) noexcept {
    try {
      while (!shared.stop) {
        const std::size_t index = shared.next_batch++;
        if (index >= batches.list.size()) return;
        work_on_batch(tree, entries, batches.list[index], work, shared, cancel);
        if (sink != nullptr) sink->advance(shared.done, batches.files, "files");
      }
    } catch (...) {
      shared.fail(std::current_exception());
    }
  };
  {
    std::vector<std::jthread> helpers;
    for (unsigned i = 1; i < threads && i < batches.list.size() && !fault::in_lab(); ++i)
      helpers.emplace_back([&run] { run(nullptr); });
    run(&progress);
  }
  if (shared.failure) std::rethrow_exception(shared.failure);
  progress.advance(batches.files, batches.files, "files");
}

}  // namespace karapace::store
