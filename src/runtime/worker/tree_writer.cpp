// SPDX-License-Identifier: Apache-2.0
#include "worker/tree_writer.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ranges>

#include "karapace/base/error.hpp"
#include "karapace/base/fault.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "karapace/base/xattr.hpp"

namespace karapace::worker {
namespace {

constexpr mode_t kPermissions = 07777;
constexpr std::uint32_t kMaxId = 65535;

/// What trees record. Anything else, labels above all, belongs to the machine the archive was made on; an ACL
/// is a list of ids, and a flat tree has only one.
bool is_kept(std::string_view name, Owners owners) {
  if (name == "system.posix_acl_access" || name == "system.posix_acl_default") return owners == Owners::Kept;
  return name.starts_with("user.") || name == "security.capability";
}

UniqueFd open_parent(FdRef root, const RelPath& path) {
  if (path.parent().empty()) return duplicate(root);
  return open_beneath(root, std::string(path.parent()), O_PATH | O_DIRECTORY);
}

std::array<timespec, 2> times_of(const Attributes& attributes) {
  return {attributes.mtime, attributes.mtime};
}

std::string quoted(const RelPath& path) { return fmt::format("'{}'", printable(path.str(), 4096)); }

}  // namespace

void TreeWriter::check_owner(const RelPath& path, const Attributes& attributes) const {
  if (owners_ == Owners::Kept && (attributes.uid > kMaxId || attributes.gid > kMaxId)) {
    throw Error(ErrorCode::InvalidInput, fmt::format("{}: owner {}:{} is outside of 0..{}", quoted(path),
                                                     attributes.uid, attributes.gid, kMaxId));
  }
}

// Makes missing parents, and room at `path` itself: a later entry of the same name replaces the earlier one.
void TreeWriter::prepare(const RelPath& path) {
  const std::string parent(path.parent());
  if (!parent.empty() && parent != last_parent_) {
    for (std::size_t end = parent.find('/');; end = parent.find('/', end + 1)) {
      const std::string directory = parent.substr(0, end);
      if (!exists_at(root_, directory)) make_directory_at(root_, directory, 0755);
      if (end == std::string::npos) break;
    }
    last_parent_ = parent;
  }
  const auto info = stat_at(root_, path.str());
  if (!info) return;
  last_parent_.clear();
  if (S_ISDIR(info->st_mode)) {
    remove_directory_at(root_, path.str());
  } else {
    unlink_at(root_, path.str());
  }
}

void TreeWriter::set_xattrs(const std::string& path, const Attributes& attributes) const {
  for (const auto& [name, value] : attributes.xattrs) {
    if (!is_kept(name, owners_)) continue;
    // With "overlay." twice it is how an overlay keeps what a program inside called user.overlay.*.
    if (name.starts_with("user.overlay.") && !name.starts_with("user.overlay.overlay.")) {
      // A planted "redirect" or "opaque" mark would make the kernel show other files than were hashed.
      throw Error(ErrorCode::InvalidInput, fmt::format("'{}': the attribute {} belongs to overlayfs",
                                                       printable(path, 4096), printable(name)));
    }
    try {
      set_xattr(root_, path, name, value);
    } catch (SystemError& error) {
      const std::string what = fmt::format("attribute {} of '{}'", printable(name), printable(path, 4096));
      if (error.error_number() == EINVAL || error.error_number() == ERANGE)
        throw Error(ErrorCode::InvalidInput, what + ": its name or value cannot be");
      error.add_context(what);
      throw;
    }
  }
}

void TreeWriter::root_attributes(const Attributes& attributes) { directories_.emplace_back(".", attributes); }

void TreeWriter::directory(const RelPath& path, const Attributes& attributes) {
  check_owner(path, attributes);
  const auto info = stat_at(root_, path.str());
  if (!info || !S_ISDIR(info->st_mode)) {
    prepare(path);
    make_directory_at(root_, path.str(), 0700);
  }
  directories_.emplace_back(path.str(), attributes);
}

UniqueFd TreeWriter::begin_file(const RelPath& path) {
  prepare(path);
  return open_beneath(root_, path.str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
}

void TreeWriter::finish_file(const RelPath& path, UniqueFd file, const Attributes& attributes) {
  check_owner(path, attributes);
  // Owner before mode: chown clears setuid. Attributes before times: they do not change mtime, writing did.
  if (owners_ == Owners::Kept &&
      (fault::injected("chown") || ::fchown(file.get(), attributes.uid, attributes.gid) != 0)) {
    throw_errno(fmt::format("give {} its owner", quoted(path)));
  }
  if (fault::injected("chmod") || ::fchmod(file.get(), attributes.mode & kPermissions) != 0) {
    throw_errno(fmt::format("give {} its mode", quoted(path)));
  }
  set_xattrs(path.str(), attributes);
  if (fault::injected("utime") || ::futimens(file.get(), times_of(attributes).data()) != 0) {
    throw_errno(fmt::format("give {} its time", quoted(path)));
  }
  file.close();
}

void TreeWriter::symlink(const RelPath& path, const std::string& target, const Attributes& attributes) {
  check_owner(path, attributes);
  prepare(path);
  symlink_at(target, root_, path.str());
  const UniqueFd parent = open_parent(root_, path);
  const std::string name(path.name());
  if (owners_ == Owners::Kept &&
      (fault::injected("chown") ||
       ::fchownat(parent.get(), name.c_str(), attributes.uid, attributes.gid, AT_SYMLINK_NOFOLLOW) != 0)) {
    throw_errno(fmt::format("give {} its owner", quoted(path)));
  }
  if (fault::injected("utime") ||
      ::utimensat(parent.get(), name.c_str(), times_of(attributes).data(), AT_SYMLINK_NOFOLLOW) != 0) {
    throw_errno(fmt::format("give {} its time", quoted(path)));
  }
}

void TreeWriter::hard_link(const RelPath& path, const RelPath& target) {
  const auto info = find_beneath(root_, target.str());
  if (!info || S_ISDIR(info->st_mode)) {
    throw Error(ErrorCode::InvalidInput,
                fmt::format("{}: its hard link target {} is not in the archive before it", quoted(path),
                            quoted(target)));
  }
  if (path == target) return;
  prepare(path);
  if (try_link_at(root_, target.str(), root_, path.str()) != LinkResult::Linked) {
    throw Error(ErrorCode::Unsupported,
                fmt::format("the file system refuses the hard link {} to {}", quoted(path), quoted(target)));
  }
}

void TreeWriter::fifo(const RelPath& path, const Attributes& attributes) {
  check_owner(path, attributes);
  prepare(path);
  const UniqueFd parent = open_parent(root_, path);
  const std::string name(path.name());
  if (fault::injected("mknod") || ::mkfifoat(parent.get(), name.c_str(), 0600) != 0)
    throw_errno(fmt::format("create {}", quoted(path)));
  if (owners_ == Owners::Kept &&
      (fault::injected("chown") ||
       ::fchownat(parent.get(), name.c_str(), attributes.uid, attributes.gid, AT_SYMLINK_NOFOLLOW) != 0)) {
    throw_errno(fmt::format("give {} its owner", quoted(path)));
  }
  // It was created just now in a directory nobody else writes to, so it is no symlink that chmod would
  // follow.
  if (fault::injected("chmod") ||
      ::fchmodat(parent.get(), name.c_str(), attributes.mode & kPermissions, 0) != 0) {
    throw_errno(fmt::format("give {} its mode", quoted(path)));
  }
  if (fault::injected("utime") ||
      ::utimensat(parent.get(), name.c_str(), times_of(attributes).data(), AT_SYMLINK_NOFOLLOW) != 0) {
    throw_errno(fmt::format("give {} its time", quoted(path)));
  }
}

void TreeWriter::finish() {
  struct stat nothing {};
  // Deepest last entered, so backwards: setting attributes of a child must not touch the parent's time later.
  for (auto entry = directories_.rbegin(); entry != directories_.rend(); ++entry) {
    const auto& [path, attributes] = *entry;
    const auto info = path == "." ? stat_fd(root_) : find_beneath(root_, path).value_or(nothing);
    if (!S_ISDIR(info.st_mode)) continue;  // a later entry replaced it
    const UniqueFd directory = path == "." ? duplicate(root_) : open_directory(root_, path);
    if (owners_ == Owners::Kept &&
        (fault::injected("chown") || ::fchown(directory.get(), attributes.uid, attributes.gid) != 0)) {
      throw_errno(fmt::format("give '{}' its owner", printable(path, 4096)));
    }
    if (fault::injected("chmod") || ::fchmod(directory.get(), attributes.mode & kPermissions) != 0) {
      throw_errno(fmt::format("give '{}' its mode", printable(path, 4096)));
    }
    if (path != ".") set_xattrs(path, attributes);
    if (fault::injected("utime") || ::futimens(directory.get(), times_of(attributes).data()) != 0) {
      throw_errno(fmt::format("give '{}' its time", printable(path, 4096)));
    }
  }
  directories_.clear();
}

}  // namespace karapace::worker
