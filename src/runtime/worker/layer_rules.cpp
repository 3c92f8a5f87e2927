// SPDX-License-Identifier: Apache-2.0
#include "worker/layer_rules.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <array>
#include <deque>
#include <utility>

#include "karapace/base/clock.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "karapace/base/xattr.hpp"
#include "karapace/store/layer.hpp"
#include "worker/work_tree.hpp"

namespace karapace::worker {
namespace {

constexpr std::string_view kMark = ".wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr std::string_view kInternal = ".wh..wh.";  // of aufs, where these marks come from
constexpr unsigned kMaxLinks = 40;                  // as the kernel has it

std::string joined(std::string_view directory, std::string_view name) {
  return directory.empty() ? std::string(name) : fmt::format("{}/{}", directory, name);
}

std::vector<std::string> components_of(std::string_view path) {
  std::vector<std::string> components;
  while (!path.empty()) {
    const auto end = std::min(path.find('/'), path.size());
    if (end > 0 && path.substr(0, end) != ".") components.emplace_back(path.substr(0, end));
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return components;
}

}  // namespace

LayerRules::LayerRules(FdRef root) : root_(root) {
  if (list_directory(root).empty()) times_.emplace("", timespec{store::kSourceDateEpoch, 0});
}

std::string LayerRules::resolve_directory(std::string_view path) const {
  std::vector<std::string> done;
  auto first = components_of(path);
  std::deque<std::string> left(first.begin(), first.end());
  for (unsigned links = 0; !left.empty();) {
    const std::string name = std::move(left.front());
    left.pop_front();
    if (name == "..") {  // of a link; above the root is the root
      if (!done.empty()) done.pop_back();
      continue;
    }
    done.push_back(name);
    const std::string here = fmt::format("{}", fmt::join(done, "/"));
    const auto info = find_beneath(root_, here);
    if (!info || !S_ISLNK(info->st_mode)) continue;
    if (++links > kMaxLinks)
      throw Error(ErrorCode::InvalidInput,
                  fmt::format("'{}': too many symbolic links", printable(path, 4096)));
    done.pop_back();
    const std::string target = read_link_at(root_, here);
    if (target.starts_with('/')) done.clear();
    const auto components = components_of(target);
    left.insert(left.begin(), components.begin(), components.end());
  }
  return fmt::format("{}", fmt::join(done, "/"));
}

RelPath LayerRules::resolve(const RelPath& path) {
  if (path.parent().empty()) return path;
  if (!last_resolved_ || last_parent_ != path.parent()) {
    last_parent_ = path.parent();
    last_resolved_ = resolve_directory(last_parent_);
  }
  return *last_resolved_ == path.parent() ? path : RelPath::parse(joined(*last_resolved_, path.name()));
}

bool LayerRules::apply_mark(const RelPath& path) {
  if (!path.name().starts_with(kMark)) return false;
  const std::string directory = resolve_directory(path.parent());
  if (path.name() == kOpaque) {
    const auto info = directory.empty() ? std::optional(stat_fd(root_)) : find_beneath(root_, directory);
    if (!info || !S_ISDIR(info->st_mode)) return true;
    std::vector<std::string> paths;
    const UniqueFd opened = directory.empty() ? duplicate(root_) : open_directory(root_, directory);
    for (const DirectoryEntry& entry : list_directory(opened)) paths.push_back(joined(directory, entry.name));
    hide(std::move(paths));
    return true;
  }
  if (path.name().starts_with(kInternal)) return true;
  const auto name = path.name().substr(kMark.size());
  if (!is_path_component(name))
    throw Error(ErrorCode::InvalidInput, fmt::format("'{}' removes nothing", printable(path.str(), 4096)));
  hide({joined(directory, name)});
  return true;
}

// What this layer brought stays, and so do the directories on the way to it.
void LayerRules::hide(std::vector<std::string> paths) {
  while (!paths.empty()) {
    const std::string path = std::move(paths.back());
    paths.pop_back();
    const auto info = find_beneath(root_, path);
    if (!info) continue;
    const bool ours = written_.contains(path);
    if (!ours && !ancestors_.contains(path)) {
      const auto slash = path.rfind('/');
      remember_time(slash == std::string::npos ? std::string() : path.substr(0, slash));
      remove_tree_at(root_, path);
      last_resolved_.reset();  // it may have been a link on the way
    } else if (S_ISDIR(info->st_mode)) {
      const UniqueFd opened = open_directory(root_, path);
      for (const DirectoryEntry& entry : list_directory(opened)) paths.push_back(joined(path, entry.name));
    }
  }
}

void LayerRules::make_room(const RelPath& path, bool for_directory) {
  std::string parent(path.parent());
  remember_time(parent);
  written_.insert(path.str());
  while (!parent.empty() && ancestors_.insert(parent).second) {
    const auto slash = parent.rfind('/');
    parent = slash == std::string::npos ? std::string() : parent.substr(0, slash);
    remember_time(parent);
  }
  const auto info = find_beneath(root_, path.str());
  if (!info) return;
  if (!S_ISDIR(info->st_mode)) {
    if (S_ISLNK(info->st_mode)) last_resolved_.reset();
    return;  // whoever makes the entry replaces it, never writes into it
  }
  if (!for_directory) {
    remove_tree_at(root_, path.str());
    last_resolved_.reset();
    return;
  }
  // The directory stays with what is in it; what it is now, the new entry says.
  for (const auto& [name, value] : list_xattrs(root_, path.str())) remove_xattr(root_, path.str(), name);
}

void LayerRules::remember_time(const std::string& directory) {
  if (times_.contains(directory)) return;
  const auto info = directory.empty() ? std::optional(stat_fd(root_)) : find_beneath(root_, directory);
  times_.emplace(directory,
                 info && S_ISDIR(info->st_mode) ? info->st_mtim : timespec{store::kSourceDateEpoch, 0});
}

void LayerRules::finish() {
  for (const auto& [directory, time] : times_) {
    if (written_.contains(directory)) continue;
    const auto info = directory.empty() ? std::optional(stat_fd(root_)) : find_beneath(root_, directory);
    if (!info || !S_ISDIR(info->st_mode)) continue;
    const UniqueFd opened = directory.empty() ? duplicate(root_) : open_directory(root_, directory);
    const std::array<timespec, 2> times = {time, time};
    if (::futimens(opened.get(), times.data()) != 0)
      throw_errno(fmt::format("give '{}' its time", printable(directory, 4096)));
  }
}

}  // namespace karapace::worker
