// SPDX-License-Identifier: Apache-2.0
#include "layered_root.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <algorithm>
#include <set>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"

namespace karapace::runtime {
namespace {

constexpr int kMaxLinks = 40;
constexpr int kDirectory = O_RDONLY | O_DIRECTORY;

bool is_whiteout(const struct stat& info) { return S_ISCHR(info.st_mode) && info.st_rdev == makedev(0, 0); }

bool is_opaque(const UniqueFd& directory) {
  char value = '\0';
  return ::fgetxattr(directory.get(), "user.overlay.opaque", &value, 1) == 1 && value == 'y';
}

std::vector<std::string> components_of(std::string_view path) {
  std::vector<std::string> components;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    const std::string_view name = path.substr(0, end);
    if (!name.empty() && name != ".") components.emplace_back(name);
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return components;
}

}  // namespace

/// Where a walk ended: the directories on the way, and what is at the end.
struct LayeredRoot::Walk {
  std::vector<DirectoryPtr> directories;  // below the root, one per component of `path`
  std::vector<std::string> path;
  std::vector<std::string> missing;  // components that were not found
  Entry last;                        // if it is not a directory
};

LayeredRoot::LayeredRoot(FdRef base, const std::vector<std::string>& layers) {
  for (std::size_t i = 0; i < layers.size(); ++i) {
    auto layer = try_open_beneath(base, layers[i], kDirectory);
    if (!layer) continue;
    if (root_.layers.empty()) root_.mode = stat_fd(*layer).st_mode;
    root_.layers.push_back(std::move(*layer));
    root_.from_top.push_back(i == 0);
  }
}

LayeredRoot::Entry LayeredRoot::look_up(const Directory& parent, const std::string& name) const {
  Entry entry;
  for (std::size_t i = 0; i < parent.layers.size(); ++i) {
    const UniqueFd& layer = parent.layers[i];
    const auto info = stat_at(layer, name);
    if (!info) continue;
    if (is_whiteout(*info)) {
      entry.hidden_by_top = !entry.exists && parent.from_top[i];
      return entry;
    }
    if (!S_ISDIR(info->st_mode)) {
      if (entry.exists) return entry;  // a directory above hides it
      entry.exists = true;
      entry.mode = info->st_mode;
      entry.in = &layer;
      if (S_ISLNK(info->st_mode)) entry.link = read_link_at(layer, name);
      return entry;
    }
    if (!entry.exists) {
      entry.directory = std::make_shared<Directory>();
      entry.mode = entry.directory->mode = info->st_mode;
    }
    entry.exists = true;
    UniqueFd directory = open_beneath(layer, name, kDirectory);
    const bool opaque = is_opaque(directory);
    entry.directory->layers.push_back(std::move(directory));
    entry.directory->from_top.push_back(parent.from_top[i]);
    entry.directory->closed_by_top = opaque && parent.from_top[i];
    if (opaque) return entry;
  }
  if (!entry.exists) entry.hidden_by_top = parent.closed_by_top;
  return entry;
}

LayeredRoot::Walk LayeredRoot::walk(std::string_view path) const {
  Walk walk;
  std::vector<std::string> rest = components_of(path);
  std::ranges::reverse(rest);
  for (int links = 0; !rest.empty();) {
    const std::string name = std::move(rest.back());
    rest.pop_back();
    if (name == "..") {
      if (!walk.directories.empty()) {
        walk.directories.pop_back();
        walk.path.pop_back();
      }
      continue;
    }
    if (walk.directories.empty()) {
      if (const auto known = known_.find(name); known != known_.end()) {
        walk.path.push_back(name);
        walk.directories.push_back(known->second);
        continue;
      }
    }
    const Directory& parent = walk.directories.empty() ? root_ : *walk.directories.back();
    Entry entry = look_up(parent, name);
    if (entry.exists && S_ISLNK(entry.mode)) {
      if (++links > kMaxLinks)
        throw Error(ErrorCode::InvalidInput, fmt::format("{}: too many symbolic links", path));
      if (entry.link.starts_with('/')) {
        walk.directories.clear();
        walk.path.clear();
      }
      std::vector<std::string> target = components_of(entry.link);
      rest.insert(rest.end(), std::make_move_iterator(target.rbegin()),
                  std::make_move_iterator(target.rend()));
      continue;
    }
    if (!entry.exists || !S_ISDIR(entry.mode)) {
      // The rest of the way leads through nothing, or through a file.
      walk.last = std::move(entry);
      walk.missing.push_back(name);
      while (!rest.empty()) {
        walk.missing.push_back(std::move(rest.back()));
        rest.pop_back();
      }
      return walk;
    }
    if (walk.directories.empty()) known_.emplace(name, entry.directory);
    walk.path.push_back(name);
    walk.directories.push_back(std::move(entry.directory));
  }
  return walk;
}

LayeredRoot::Found LayeredRoot::find(std::string_view path) const {
  const Walk walk = this->walk(path);
  Found found;
  for (const std::string& name : walk.path) (found.path += '/') += name;
  for (const std::string& name : walk.missing) (found.path += '/') += name;
  if (found.path.empty()) found.path = "/";
  if (walk.missing.empty()) {
    found.exists = true;
    found.mode = walk.directories.empty() ? root_.mode : walk.directories.back()->mode;
  } else if (walk.last.exists && walk.missing.size() == 1) {
    found.exists = true;
    found.mode = walk.last.mode;
  } else {
    // A file where a directory should be hides as well, whichever layer it is from.
    found.hidden_by_top = walk.last.exists || walk.last.hidden_by_top;
  }
  return found;
}

std::optional<std::string> LayeredRoot::read_file(std::string_view path, std::size_t limit) const {
  const Walk walk = this->walk(path);
  if (walk.missing.size() != 1 || !walk.last.exists || !S_ISREG(walk.last.mode)) return std::nullopt;
  return read_file_at(*walk.last.in, walk.missing.front(), limit);
}

std::vector<std::string> LayeredRoot::list(std::string_view path) const {
  const Walk walk = this->walk(path);
  if (!walk.missing.empty()) return {};
  const Directory& directory = walk.directories.empty() ? root_ : *walk.directories.back();
  std::set<std::string> names;
  for (const UniqueFd& layer : directory.layers) {
    for (const DirectoryEntry& entry : list_directory(layer)) names.insert(entry.name);
  }
  std::erase_if(names, [&](const std::string& name) { return !look_up(directory, name).exists; });
  return {names.begin(), names.end()};
}

}  // namespace karapace::runtime
