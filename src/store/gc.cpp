// SPDX-License-Identifier: Apache-2.0
// The removals. No journal entry, on purpose: every step alone leaves a valid store, what a crash leaves
// behind is found by the next run, and a full disk, which is when people collect, has no room for an entry.
//
// Trees and environments are renamed within their directory and not into staging: for a directory of a
// subordinate id the kernel allows only that from outside its user namespace.
#include "karapace/store/gc.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <utility>

#include "karapace/base/clock.hpp"
#include "karapace/base/digest.hpp"
#include "karapace/base/durable.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "karapace/store/snapshot_log.hpp"
#include "on_threads.hpp"

namespace karapace::store {
namespace {

/// Names of our own making; only these are put into a path for a remover.
bool is_our_temporary(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  if (!name.starts_with(kTemporaryPrefix)) return false;
  return std::ranges::all_of(name.substr(kTemporaryPrefix.size()), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

class Collector {
 public:
  Collector(const StoreLayout& layout, const GcPlan& plan, const TreeRemover& remove_tree,
            ProgressSink& progress, const CancelToken& cancel)
      : layout_(layout), plan_(plan), remove_tree_(remove_tree), progress_(progress), cancel_(cancel) {}

  GcResult run() {
    progress_.step("gc", fmt::format("{} files and directories", plan_.size()));
    // In this order, and each class durable before the next: what refers goes before what it refers to. If
    // it cannot go, what it refers to stays as well.
    bool unreferenced = environments();
    if (!files("store/builds", plan_.builds, result_.builds)) unreferenced = false;
    if (!files("store/packages", plan_.packages, result_.packages)) unreferenced = false;
    if (unreferenced) unreferenced = files("store/layers", plan_.layers, result_.layers);
    files("store/downloads", plan_.downloads, result_.downloads);
    if (unreferenced) {
      trees(plan_.trees, Try::First);
      files("store/objects", plan_.objects, result_.objects);
      result_.trees -= without_room_.size();
      if (!without_room_.empty()) trees(std::exchange(without_room_, {}), Try::Last);
    }
    leftovers();
    std::ranges::stable_sort(result_.failures, {}, &GcFailure::what);
    return std::move(result_);
  }

 private:
  static const std::string& name_of(const std::string& name) { return name; }
  static std::string name_of(const Digest& digest) { return digest.hex(); }

  /// True if everything of the class is gone and that is durable.
  template <typename Name, typename Remove>
  bool each(const std::string& directory, const std::vector<Name>& names, std::size_t& removed,
            unsigned threads, Remove&& remove) {
    if (names.empty()) return true;
    const UniqueFd dir = layout_.open_dir(directory);
    std::atomic<std::size_t> gone{0};
    const auto finish = [&] {
      removed += gone;
      progress_.advance(done_, plan_.size(), "files");
      return attempt(directory, [&] { sync_directory(dir); });
    };
    try {
      for_each_index(names.size(), threads, [&](std::size_t index, bool reports) {
        cancel_.check();
        const std::string& name = name_of(names[index]);
        if (attempt(directory + "/" + name, [&] { remove(dir, name); })) ++gone;
        const std::size_t done = ++done_;
        if (reports) progress_.advance(done, plan_.size(), "files");
      });
    } catch (...) {
      finish();
      throw;
    }
    return finish() && gone == names.size();
  }

  template <typename Action>
  bool attempt(const std::string& what, Action&& action) {
    try {
      action();
      return true;
    } catch (const Error& error) {
      const std::lock_guard guard(mutex_);
      result_.failures.push_back({printable(what, 4096), error.message()});
      return false;
    }
  }

  template <typename Name>
  bool files(const char* directory, const std::vector<Name>& names, std::size_t& removed) {
    return each(directory, names, removed, kWaitingThreads,
                [](FdRef dir, const std::string& name) { try_unlink_at(dir, name); });
  }

  bool environments() {
    SnapshotLog snapshots(layout_);
    return each("env", plan_.environments, result_.environments, 1,
                [&](FdRef dir, const std::string& env_id) {
                  snapshots.remove(env_id);
                  remove_directory(dir, "env", env_id);
                });
  }

  enum class Try : std::uint8_t { First, Last };

  /// A full file system may have no room for another name (xfs). Objects go without one, and make room.
  void trees(const std::vector<std::string>& names, Try which) {
    each("trees", names, result_.trees, 1, [&](FdRef dir, const std::string& name) {
      try {
        remove_directory(dir, "trees", name);
      } catch (const NoRoomForAName&) {
        if (which == Try::Last) throw;
        without_room_.push_back(name);
      }
    });
  }

  struct NoRoomForAName : Error {
    explicit NoRoomForAName(const Error& error) : Error(error) {}
  };

  void remove_directory(FdRef dir, const std::string& parent, const std::string& name) {
    if (!exists_at(dir, name)) return;
    const std::string temporary = std::string(kTemporaryPrefix) + random_hex(16);
    try {
      rename_at(dir, name, dir, temporary, Replace::No);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::NoSpace) throw NoRoomForAName(error);
      throw;
    }
    // Durable before its content goes: after a power cut the old name must not show half of it.
    sync_directory(dir);
    // What cannot be deleted now is nameless rubbish, and keeps nothing else from going.
    attempt(parent + "/" + temporary, [&] { remove_tree(parent + "/" + temporary); });
  }

  void leftovers() {
    each(".", plan_.leftovers, result_.leftovers, 1,
         [&](FdRef, const std::string& path) { remove_tree(path); });
  }

  void remove_tree(const std::string& path) {
    if (remove_tree_ && is_our_temporary(path)) {
      remove_tree_(path);
    } else {
      remove_tree_at(layout_.root(), path);
    }
  }

  const StoreLayout& layout_;
  const GcPlan& plan_;
  const TreeRemover& remove_tree_;
  ProgressSink& progress_;
  const CancelToken& cancel_;
  std::mutex mutex_;  // protects the failures in result_
  GcResult result_;
  std::atomic<std::size_t> done_{0};
  std::vector<std::string> without_room_;  // trees
};

}  // namespace

GcResult apply_gc(const StoreLayout& layout, const GcPlan& plan, const TreeRemover& remove_tree,
                  ProgressSink& progress, const CancelToken& cancel) {
  return Collector(layout, plan, remove_tree, progress, cancel).run();
}

}  // namespace karapace::store
