// SPDX-License-Identifier: Apache-2.0
// A mount is decided on the open file, not on its name: the name is opened once, what it led to is asked for
// its real path, and that very file is mounted (karapace-init compares the inode). So no symlink and no later
// exchange changes what was allowed.
#include "mount_policy.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <optional>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"

namespace karapace::runtime {
namespace {

constexpr std::string_view kSharedPlaces[] = {"/tmp", "/mnt", "/media", "/srv"};
constexpr std::string_view kOwnPlaces[] = {"/proc", "/sys", "/dev"};

[[noreturn]] void deny(const Mount& mount, const std::string& reason, std::string fix) {
  throw Error(
      ErrorCode::PermissionDenied,
      fmt::format("mount \"{}\" ({}): {}", printable(mount.label), printable(mount.host_path), reason),
      std::move(fix));
}

/// Canonical path of a directory that may be missing.
std::optional<std::string> canonical_directory(const std::string& path) {
  if (!path.starts_with('/')) return std::nullopt;
  try {
    std::string canonical = canonical_path(open_path(path, O_PATH | O_DIRECTORY));
    // "Below the root directory" would allow everything.
    if (canonical == "/") return std::nullopt;
    return canonical;
  } catch (const Error&) {
    return std::nullopt;
  }
}

std::string expand(const Mount& mount, const std::string& manifest_directory, const HostUser& user) {
  const std::string& path = mount.host_path;
  if (path == "~" || path.starts_with("~/")) return user.home + path.substr(1);
  if (path.starts_with('/')) return path;
  return manifest_directory + "/" + path;
}

UniqueFd open_host_path(const Mount& mount, const std::string& path) {
  try {
    return open_path(path, O_PATH);
  } catch (const SystemError& error) {
    if (error.error_number() != ENOENT && error.error_number() != ENOTDIR) throw;
    throw Error(
        ErrorCode::NotFound,
        fmt::format("mount \"{}\": {} does not exist on this host", printable(mount.label), printable(path)),
        "Create it, or take the mount out of the manifest.");
  }
}

void check_host_path(const Mount& mount, const std::string& path, const std::vector<std::string>& allowed,
                     const std::string& store) {
  if (std::ranges::none_of(allowed, [&](const std::string& place) { return is_within(path, place); })) {
    deny(mount,
         fmt::format(
             "{} is neither below your home nor the manifest's directory nor /tmp, /mnt, /media or /srv",
             path),
         "Mount a directory of those places.");
  }
  if (!store.empty() && (is_within(path, store) || is_within(store, path)))
    deny(mount, fmt::format("{} holds the store of Karapace ({})", path, store),
         "Mount a directory beside it: programs inside must not change the store.");
}

void check_container_path(const Mount& mount) {
  const std::string& path = mount.container_path;
  if (path == "/")
    deny(mount, "the root directory inside cannot be mounted over", "Choose a directory below it.");
  for (const std::string_view place : kOwnPlaces) {
    if (is_within(path, place))
      deny(mount, fmt::format("{} inside belongs to Karapace", place), "Choose another directory inside.");
  }
}

}  // namespace

bool is_within(std::string_view path, std::string_view directory) noexcept {
  if (directory == "/") return true;
  return path.starts_with(directory) && (path.size() == directory.size() || path[directory.size()] == '/');
}

std::string read_link(const std::string& path) {
  std::array<char, PATH_MAX> target;
  const ssize_t length = ::readlink(path.c_str(), target.data(), target.size());
  if (length < 0) throw_errno("read the link " + path);
  return std::string(target.data(), static_cast<std::size_t>(length));
}

std::string canonical_path(FdRef file) {
  std::string path = read_link(fmt::format("/proc/self/fd/{}", file.get()));
  struct stat by_name {};
  const struct stat opened = stat_fd(file);
  // Of a deleted file the kernel gives a name with " (deleted)"; of one outside our view, a relative one.
  if (!path.starts_with('/') || ::lstat(path.c_str(), &by_name) != 0 || by_name.st_dev != opened.st_dev ||
      by_name.st_ino != opened.st_ino)
    throw Error(ErrorCode::NotFound, fmt::format("{} was moved or deleted", printable(path)));
  return path;
}

std::vector<AllowedMount> allow_mounts(const Manifest& manifest, const std::string& manifest_directory,
                                       const std::string& store_root, const HostUser& user) {
  std::vector<AllowedMount> result;
  if (manifest.mounts.empty()) return result;
  std::vector<std::string> allowed(std::begin(kSharedPlaces), std::end(kSharedPlaces));
  for (const std::string& directory : {user.home, manifest_directory}) {
    if (auto canonical = canonical_directory(directory)) allowed.push_back(std::move(*canonical));
  }
  const std::string store = canonical_directory(store_root).value_or(store_root);
  for (const Mount& mount : manifest.mounts) {
    check_container_path(mount);
    AllowedMount allow{mount, {}, open_host_path(mount, expand(mount, manifest_directory, user)), false};
    allow.host_path = canonical_path(allow.host);
    check_host_path(mount, allow.host_path, allowed, store);
    const mode_t mode = stat_fd(allow.host).st_mode;
    if (!S_ISDIR(mode) && !S_ISREG(mode) && !S_ISSOCK(mode))
      deny(mount, "it is neither a directory nor a file nor a socket",
           "Devices are asked for under [hardware].");
    allow.is_directory = S_ISDIR(mode);
    result.push_back(std::move(allow));
  }
  return result;
}

void check_mounts(const Manifest& manifest, const std::string& manifest_directory,
                  const std::string& store_root) {
  if (manifest.mounts.empty()) return;
  static_cast<void>(allow_mounts(manifest, manifest_directory, store_root, current_user()));
}

}  // namespace karapace::runtime
