// SPDX-License-Identifier: Apache-2.0
#include "karapace/store/tree_diff.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <optional>
#include <set>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "karapace/base/xattr.hpp"
#include "layer_text.hpp"
#include "tree_io.hpp"
#include "tree_walk.hpp"

namespace karapace::store {
namespace {

constexpr std::size_t kBuffer = 128 * 1024;

bool is_whiteout(const tree_io::FileInfo& info) { return S_ISCHR(info.mode) && info.special_device == 0; }
bool is_directory(const tree_io::FileInfo& info) { return S_ISDIR(info.mode); }

/// A directory to look at: its path, and which of the lower trees show it.
struct Place {
  std::string path;
  std::vector<std::size_t> lowers;
  bool closed = false;  // what lies below is not seen through it
};

/// What lies below at one name.
struct Below {
  std::optional<tree_io::FileInfo> info;
  std::size_t lower = 0;                 // which tree has it
  std::vector<std::size_t> directories;  // of a directory: all trees that are merged
};

std::optional<tree_io::FileInfo> find_info(FdRef dir, const std::string& name) {
  try {
    return tree_io::info_at(dir, name);
  } catch (const SystemError& error) {
    if (error.error_number() == ENOENT) return std::nullopt;
    throw;
  }
}

std::size_t read_at(FdRef file, std::string& buffer, off_t offset) {
  ssize_t got = 0;
  do got = ::pread(file.get(), buffer.data(), buffer.size(), offset);
  while (got < 0 && errno == EINTR);
  if (got < 0) throw_errno("read");
  return static_cast<std::size_t>(got);
}

bool same_content(FdRef a, FdRef b, const CancelToken& cancel) {
  std::string left(kBuffer, '\0');
  std::string right(kBuffer, '\0');
  for (off_t offset = 0;;) {
    cancel.check();
    const std::size_t got = read_at(a, left, offset);
    if (got != read_at(b, right, offset) || left.compare(0, got, right, 0, got) != 0) return false;
    if (got == 0) return true;
    offset += static_cast<off_t>(got);
  }
}

class Differ {
 public:
  Differ(FdRef upper, const std::vector<UniqueFd>& lowers, const DiffOptions& options,
         const CancelToken& cancel)
      : upper_(upper), lowers_(lowers), options_(options), cancel_(cancel) {}

  std::vector<TreeChange> run() {
    Place root;
    for (std::size_t i = 0; i < lowers_.size(); ++i) root.lowers.push_back(i);
    compare_root();
    places_.push_back(std::move(root));
    while (!places_.empty()) {
      const Place place = std::move(places_.front());
      places_.pop_front();
      cancel_.check();
      with_context([&] { return fmt::format("reading \"{}\"", printable(place.path)); },
                   [&] { visit(place); });
    }
    std::ranges::sort(changes_, {}, &TreeChange::path);
    return std::move(changes_);
  }

 private:
  struct OpenPlace {
    UniqueFd upper;
    std::vector<UniqueFd> lowers;  // parallel to Place::lowers
  };

  void compare_root() {
    if (lowers_.empty()) return;
    tree_io::FileInfo above = tree_io::info_of(upper_);
    const tree_io::FileInfo below = tree_io::info_of(lowers_.front());
    if (options_.build_uid != 0 && above.uid == options_.build_uid) {
      above.uid = below.uid;
      above.gid = below.gid;
    }
    TreeChange change{"", ChangeKind::Modified, {}};
    compare_attributes(above, below, change.what);
    if (xattrs_of(upper_, "") != xattrs_of(lowers_.front(), "")) change.what.emplace_back("xattrs");
    if (!change.what.empty()) changes_.push_back(std::move(change));
  }

  [[nodiscard]] tree_io::Xattrs kept(tree_io::Xattrs found, const std::string& path) const {
    tree_io::Xattrs result = split_xattrs(std::move(found), options_.flat, path).kept;
    std::erase_if(result, [](const auto& item) { return is_layer_mark(item.first); });
    return result;
  }
  [[nodiscard]] tree_io::Xattrs xattrs_of(FdRef dir, const std::string& path) const {
    return kept(tree_io::read_xattrs(dir), path);
  }

  void compare_attributes(const tree_io::FileInfo& above, const tree_io::FileInfo& below,
                          std::vector<std::string>& what) const {
    // Links have no mode of their own.
    if (!S_ISLNK(above.mode) && tree_io::permissions(above.mode) != tree_io::permissions(below.mode))
      what.emplace_back("mode");
    if (!options_.flat && (above.uid != below.uid || above.gid != below.gid)) what.emplace_back("owner");
  }

  void visit(const Place& place) {
    OpenPlace open;
    try {
      open.upper = tree_io::open_tree_dir(upper_, place.path);
    } catch (const SystemError& error) {
      if (error.error_number() == ENOENT) return;  // removed while we were looking elsewhere
      throw;
    }
    for (const std::size_t lower : place.lowers)
      open.lowers.push_back(tree_io::open_tree_dir(lowers_[lower], place.path));
    const bool closed =
        place.closed || split_xattrs(tree_io::read_xattrs(open.upper), options_.flat, place.path).opaque;
    std::set<std::string> names;
    for (const DirectoryEntry& entry : list_directory(open.upper)) {
      visit_name(place, open, entry.name, closed);
      if (closed) names.insert(entry.name);
    }
    if (closed) report_hidden(place, open, names);
  }

  /// Of an opaque directory: everything below that is not here any more.
  void report_hidden(const Place& place, const OpenPlace& open, const std::set<std::string>& names) {
    std::set<std::string> gone;
    for (const UniqueFd& lower : open.lowers) {
      for (const DirectoryEntry& entry : list_directory(lower)) {
        if (!names.contains(entry.name)) gone.insert(entry.name);
      }
    }
    for (const std::string& name : gone) {
      if (look_below(place, open, name).info) report(join(place.path, name), ChangeKind::Removed);
    }
  }

  [[nodiscard]] Below look_below(const Place& place, const OpenPlace& open, const std::string& name) const {
    Below below;
    for (std::size_t i = 0; i < open.lowers.size(); ++i) {
      const std::optional<tree_io::FileInfo> info = find_info(open.lowers[i], name);
      if (!info) continue;
      if (is_whiteout(*info)) return below;
      if (!below.info) {
        below.info = info;
        below.lower = i;
      }
      if (!is_directory(*info) || !is_directory(*below.info)) return below;
      below.directories.push_back(place.lowers[i]);
      const UniqueFd directory = tree_io::open_tree_dir(open.lowers[i], name);
      if (split_xattrs(tree_io::read_xattrs(directory), options_.flat, name).opaque) return below;
    }
    return below;
  }

  void visit_name(const Place& place, const OpenPlace& open, const std::string& name, bool closed) {
    const std::optional<tree_io::FileInfo> above = find_info(open.upper, name);
    if (!above) return;
    const std::string path = join(place.path, name);
    const Below below = look_below(place, open, name);
    if (is_whiteout(*above)) {
      if (below.info) report(path, ChangeKind::Removed);
      return;
    }
    if (is_directory(*above)) {
      const bool merged = below.info && is_directory(*below.info);
      places_.push_back({path, merged ? below.directories : std::vector<std::size_t>(), closed});
    }
    if (!below.info) return report(path, ChangeKind::Added);
    TreeChange change{path, ChangeKind::Modified, {}};
    compare(open.upper, *above, open.lowers[below.lower], *below.info, name, change);
    if (!change.what.empty()) changes_.push_back(std::move(change));
  }

  void compare(FdRef upper_dir, const tree_io::FileInfo& above, FdRef lower_dir,
               const tree_io::FileInfo& below, const std::string& name, TreeChange& change) const {
    if ((above.mode & S_IFMT) != (below.mode & S_IFMT)) {
      change.what.emplace_back("type");
      return;
    }
    if (S_ISREG(above.mode) && !same_file(upper_dir, above, lower_dir, below, name))
      change.what.emplace_back("content");
    if (S_ISLNK(above.mode) && read_link_at(upper_dir, name) != read_link_at(lower_dir, name))
      change.what.emplace_back("target");
    compare_attributes(above, below, change.what);
    if (kept(list_xattrs(upper_dir, name), change.path) != kept(list_xattrs(lower_dir, name), change.path))
      change.what.emplace_back("xattrs");
  }

  [[nodiscard]] bool same_file(FdRef upper_dir, const tree_io::FileInfo& above, FdRef lower_dir,
                               const tree_io::FileInfo& below, const std::string& name) const {
    if (above.size != below.size) return false;
    if (above.size == 0 || (above.device == below.device && above.inode == below.inode)) return true;
    return same_content(tree_io::open_entry(upper_dir, name), tree_io::open_entry(lower_dir, name), cancel_);
  }

  void report(std::string path, ChangeKind kind) { changes_.push_back({std::move(path), kind, {}}); }

  static std::string join(const std::string& parent, const std::string& name) {
    return parent.empty() ? name : parent + "/" + name;
  }

  FdRef upper_;
  const std::vector<UniqueFd>& lowers_;
  DiffOptions options_;
  const CancelToken& cancel_;
  std::deque<Place> places_;
  std::vector<TreeChange> changes_;
};

}  // namespace

std::vector<TreeChange> diff_upper(FdRef upper, const std::vector<UniqueFd>& lowers,
                                   const DiffOptions& options, const CancelToken& cancel) {
  return Differ(upper, lowers, options, cancel).run();
}

}  // namespace karapace::store
