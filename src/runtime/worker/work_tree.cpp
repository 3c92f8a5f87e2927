// SPDX-License-Identifier: Apache-2.0
#include "worker/work_tree.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

#include "karapace/base/error.hpp"
#include "karapace/base/fault.hpp"
#include "karapace/base/file_at.hpp"

namespace karapace::worker {
namespace {

constexpr mode_t kPermissions = 07777;

bool is_whiteout(const struct stat& info) { return S_ISCHR(info.st_mode) && info.st_rdev == 0; }

}  // namespace

std::optional<struct stat> find_beneath(FdRef dir, const std::string& path) {
  try {
    return stat_at(dir, path);
  } catch (const SystemError& error) {
    const int number = error.error_number();
    if (number == ENOENT || number == ENOTDIR || number == ELOOP) return std::nullopt;
    throw;
  }
}

WorkTree::WorkTree(FdRef tree, std::vector<UniqueFd> lowers, Owners owners)
    : tree_(tree), lowers_(std::move(lowers)), owners_(owners) {}

std::optional<struct stat> WorkTree::find(const std::string& path) const { return find_beneath(tree_, path); }

std::optional<struct stat> WorkTree::find_below(const std::string& path) const {
  for (const UniqueFd& lower : lowers_) {
    // A parent that is a file or a whiteout here hides what deeper layers have.
    for (auto slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
      const auto parent = find_beneath(lower, path.substr(0, slash));
      if (!parent) break;
      if (!S_ISDIR(parent->st_mode)) return std::nullopt;
    }
    if (const auto found = find_beneath(lower, path)) {
      if (is_whiteout(*found)) return std::nullopt;
      return found;
    }
  }
  return std::nullopt;
}

bool WorkTree::remove(const std::string& path) const {
  if (!find(path)) return false;
  return remove_tree_at(tree_, path);
}

void WorkTree::empty_directory(const std::string& path, std::string_view keep) const {
  const auto info = find(path);
  if (!info || !S_ISDIR(info->st_mode)) return;
  const UniqueFd directory = open_directory(tree_, path);
  for (const DirectoryEntry& entry : list_directory(directory)) {
    if (entry.name == keep) {
      empty_directory(path + "/" + entry.name);
    } else {
      remove_tree_at(directory, entry.name);
    }
  }
}

void WorkTree::truncate(const std::string& path) const {
  const auto info = find(path);
  if (!info || !S_ISREG(info->st_mode) || info->st_size == 0) return;
  const UniqueFd file = open_beneath(tree_, path, O_WRONLY | O_NOFOLLOW);
  if (fault::injected("truncate") || ::ftruncate(file.get(), 0) != 0)
    throw_errno(fmt::format("truncate {}", path));
}

void WorkTree::copy_attributes(FdRef directory, const struct stat& from) const {
  if (owners_ == Owners::Kept &&
      (fault::injected("chown") || ::fchown(directory.get(), from.st_uid, from.st_gid) != 0)) {
    throw_errno("give a directory its owner");
  }
  if (fault::injected("chmod") || ::fchmod(directory.get(), from.st_mode & kPermissions) != 0)
    throw_errno("give a directory its mode");
}

void WorkTree::rewrite(const std::string& path, std::string_view content) const {
  truncate(path);
  UniqueFd file = open_beneath(tree_, path, O_WRONLY | O_NOFOLLOW);
  write_all(file, content);
  file.close();
}

void WorkTree::ensure_parents(const std::string& path) const {
  for (auto slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    const std::string parent = path.substr(0, slash);
    if (find(parent)) continue;
    make_directory_at(tree_, parent, 0755);
    struct stat attributes {};
    attributes.st_mode = S_IFDIR | 0755;
    const auto below = find_below(parent);
    if (below && S_ISDIR(below->st_mode)) attributes = *below;
    const UniqueFd directory = open_directory(tree_, parent);
    copy_attributes(directory, attributes);
  }
}

void WorkTree::write(const std::string& path, std::string_view content, mode_t mode) const {
  ensure_parents(path);
  remove(path);
  UniqueFd file = open_beneath(tree_, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  write_all(file, content);
  if (fault::injected("chmod") || ::fchmod(file.get(), mode) != 0)
    throw_errno(fmt::format("set the mode of {}", path));
  file.close();
}

void WorkTree::adopt_root_attributes() const {
  if (!lowers_.empty()) copy_attributes(tree_, stat_fd(lowers_.front()));
}

}  // namespace karapace::worker
