// SPDX-License-Identifier: Apache-2.0
// Everything is mounted through descriptors: a detached mount is made first, then moved onto a target that
// was opened with openat2(RESOLVE_IN_ROOT). No path of the image is ever resolved against the host's root,
// however its links look.
#include "mounts.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "kernel.hpp"

namespace karapace::init {
namespace {

using runtime::MountKind;
using runtime::MountStep;

struct KnownDevice {
  std::string_view path;
  unsigned major_number;
  unsigned minor_number;
};
// A "/dev/null" that is something else must not become the environment's (CVE-2025-31133 and its kin).
constexpr KnownDevice kKnownDevices[] = {{"/dev/null", 1, 3},   {"/dev/zero", 1, 5},    {"/dev/full", 1, 7},
                                         {"/dev/random", 1, 8}, {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0}};

struct stat stat_of(const UniqueFd& fd, const std::string& what) {
  struct stat info {};
  check(::fstat(fd.get(), &info), what);
  return info;
}

void check_device(const MountStep& step, const struct stat& info) {
  const auto* known = std::ranges::find(kKnownDevices, std::string_view(step.source), &KnownDevice::path);
  if (known == std::end(kKnownDevices)) return;
  if (!S_ISCHR(info.st_mode) || info.st_rdev != makedev(known->major_number, known->minor_number))
    throw Error(ErrorCode::Unsupported, step.source + " of the host is not the device it should be");
}

UniqueFd open_source(const MountStep& step) {
  UniqueFd source(::open(step.source.c_str(), O_PATH | O_CLOEXEC));
  if (!source) {
    if (step.optional && (errno == ENOENT || errno == ENOTDIR)) return source;
    throw_errno("open " + step.source + ", to be mounted at " + step.target);
  }
  const struct stat info = stat_of(source, step.source);
  if (step.allow_devices) check_device(step, info);
  if (step.source_fd >= 0) {
    // The caller checked this descriptor against the mount policy. It belongs to another mount namespace and
    // cannot be mounted itself, so the path was opened again; a file that was exchanged meanwhile has another
    // inode.
    struct stat checked {};
    check(::fstat(step.source_fd, &checked), step.source);
    if (checked.st_dev != info.st_dev || checked.st_ino != info.st_ino)
      throw Error(ErrorCode::PermissionDenied,
                  step.source + " was exchanged while it was about to be mounted");
  }
  return source;
}

unsigned mount_attributes(const MountStep& step) {
  unsigned flags = MOUNT_ATTR_NOSUID;
  if (!step.allow_devices) flags |= MOUNT_ATTR_NODEV;
  if (step.read_only) flags |= MOUNT_ATTR_RDONLY;
  if (step.no_exec) flags |= MOUNT_ATTR_NOEXEC;
  return flags;
}

/// A new file system as a detached mount.
UniqueFd make_mount(const char* type, const std::string& options, unsigned attributes) {
  const std::string what = std::string("mount ") + type;
  const UniqueFd context(check(::fsopen(type, FSOPEN_CLOEXEC), what));
  for (std::size_t at = 0; at < options.size();) {
    const std::size_t end = std::min(options.find(',', at), options.size());
    const std::string option = options.substr(at, end - at);
    const std::size_t equals = option.find('=');
    if (equals == std::string::npos) {
      check(::fsconfig(context.get(), FSCONFIG_SET_FLAG, option.c_str(), nullptr, 0), what + ": " + option);
    } else {
      check(::fsconfig(context.get(), FSCONFIG_SET_STRING, option.substr(0, equals).c_str(),
                       option.c_str() + equals + 1, 0),
            what + ": " + option);
    }
    at = end + 1;
  }
  check(::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0), what);
  return UniqueFd(check(::fsmount(context.get(), FSMOUNT_CLOEXEC, attributes), what));
}

std::string octal(std::uint32_t mode) {
  std::string text;
  for (int shift = 9; shift >= 0; shift -= 3) text.push_back(static_cast<char>('0' + ((mode >> shift) & 7U)));
  return text;
}

std::string joined(const std::string& first, const std::string& rest) {
  return rest.empty() ? first : first + "," + rest;
}

/// Carries out steps one after the other. Remembers the tmpfs instances it made: only in these does it create
/// anything.
class RootBuilder {
 public:
  explicit RootBuilder(FdRef root) : root_(root) {}

  void apply(const MountStep& step, const UniqueFd& source) {
    switch (step.kind) {
      case MountKind::Bind:
        return bind(step, source);
      case MountKind::Tmpfs:
        return tmpfs(step);
      case MountKind::Proc:
        return proc(step);
      case MountKind::Sysfs:
        return attach(step, make_mount("sysfs", step.options, MOUNT_ATTR_NOEXEC | mount_attributes(step)),
                      true);
      case MountKind::Devpts:
        return attach(
            step,
            make_mount("devpts", joined("newinstance", step.options), MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC),
            true);
      case MountKind::Mqueue:
        return attach(step, make_mount("mqueue", step.options, MOUNT_ATTR_NOEXEC | mount_attributes(step)),
                      true);
      case MountKind::Symlink:
        check(::symlinkat(step.source.c_str(), own_parent(step.target).get(), name_of(step.target)),
              "create the link " + step.target);
        return;
      case MountKind::Directory:
        return directory(step);
      case MountKind::File:
        return file(step);
    }
  }

 private:
  void bind(const MountStep& step, const UniqueFd& source) {
    if (!source) return;
    const unsigned recursive = step.recursive ? AT_RECURSIVE : 0;
    const std::string what = "mount " + step.source + " at " + step.target;
    UniqueFd mount(
        check(::open_tree(source.get(), "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | recursive),
              what));
    struct mount_attr attributes {};
    attributes.attr_set = mount_attributes(step);
    check(::mount_setattr(mount.get(), "", AT_EMPTY_PATH | recursive, &attributes, sizeof attributes), what);
    attach(step, mount, S_ISDIR(stat_of(source, step.source).st_mode));
  }

  void tmpfs(const MountStep& step) {
    const UniqueFd mount =
        make_mount("tmpfs", joined("mode=" + octal(step.mode), step.options), mount_attributes(step));
    attach(step, mount, true);
    own_.push_back(stat_of(mount, step.target).st_dev);
    parent_.reset();  // it may be covered now
  }

  void proc(const MountStep& step) {
    const UniqueFd mount =
        make_mount("proc", step.options, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | mount_attributes(step));
    struct statfs info {};
    check(::fstatfs(mount.get(), &info), "look at the new proc file system");
    if (info.f_type != PROC_SUPER_MAGIC)
      throw Error(ErrorCode::Unsupported, "the new proc is not a proc file system");
    attach(step, mount, true);
  }

  void directory(const MountStep& step) {
    const UniqueFd& parent = own_parent(step.target);
    check(::mkdirat(parent.get(), name_of(step.target), step.mode), "create " + step.target);
    give_to(parent, step);
  }

  void file(const MountStep& step) {
    const UniqueFd& parent = own_parent(step.target);
    UniqueFd file(check(::openat(parent.get(), name_of(step.target),
                                 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, step.mode),
                        "create " + step.target));
    const ssize_t written = ::write(file.get(), step.source.data(), step.source.size());
    if (written < 0) throw_errno("write " + step.target);
    if (static_cast<std::size_t>(written) != step.source.size())
      throw SystemError(ENOSPC, "write " + step.target);
    give_to(parent, step);
  }

  static void give_to(const UniqueFd& parent, const MountStep& step) {
    if (step.uid == 0 && step.gid == 0) return;
    check(::fchownat(parent.get(), name_of(step.target), step.uid, step.gid, AT_SYMLINK_NOFOLLOW),
          "set the owner of " + step.target);
  }

  void attach(const MountStep& step, const UniqueFd& mount, bool is_directory) {
    const UniqueFd target = step.create_target ? create_target(step.target, is_directory)
                                               : open_inside(root_, step.target, O_PATH);
    if (!target) throw_errno("open the mount point " + step.target);
    check(::move_mount(mount.get(), "", target.get(), "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH),
          "mount on " + step.target);
  }

  UniqueFd create_target(const std::string& path, bool is_directory) {
    const UniqueFd& parent = own_parent(path);
    const int result = is_directory ? ::mkdirat(parent.get(), name_of(path), 0755)
                                    : ::mknodat(parent.get(), name_of(path), S_IFREG | 0644, 0);
    if (result < 0 && errno != EEXIST) throw_errno("create the mount point " + path);
    return UniqueFd(::openat(parent.get(), name_of(path), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  }

  /// The directory of `path`, made if it is missing. It must lie in a tmpfs of ours: elsewhere a new entry
  /// would be a change to the environment, or to the host. Steps come directory by directory, so the last one
  /// is kept.
  const UniqueFd& own_parent(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) throw Error(ErrorCode::InvalidInput, path + " is not an absolute path");
    const std::string parent_path = path.substr(0, std::max<std::size_t>(slash, 1));
    if (parent_ && parent_path_ == parent_path) return parent_;
    UniqueFd parent = open_inside(root_, parent_path, O_PATH | O_DIRECTORY);
    if (!parent && errno == ENOENT && slash > 0) {
      check(::mkdirat(own_parent(parent_path).get(), name_of(parent_path), 0755), "create " + parent_path);
      parent = open_inside(root_, parent_path, O_PATH | O_DIRECTORY);
    }
    if (!parent) throw_errno("open " + parent_path);
    if (std::ranges::find(own_, stat_of(parent, parent_path).st_dev) == own_.end())
      throw Error(ErrorCode::InvalidInput, "there is no " + path + " in the environment to mount on");
    parent_ = std::move(parent);
    parent_path_ = parent_path;
    return parent_;
  }

  static const char* name_of(const std::string& path) { return path.c_str() + path.rfind('/') + 1; }

  FdRef root_;
  std::vector<dev_t> own_;
  UniqueFd parent_;
  std::string parent_path_;
};

/// mount(2) takes one page of options; longer stacks need a kernel that takes the layers one by one
/// (Linux 6.7).
UniqueFd mount_many_layers(const runtime::OverlayRoot& overlay, unsigned attributes) {
  const UniqueFd context(check(::fsopen("overlay", FSOPEN_CLOEXEC), "mount the overlay"));
  const auto set = [&](const char* key, const std::string& value) {
    check(::fsconfig(context.get(), FSCONFIG_SET_STRING, key, value.c_str(), 0),
          std::string("mount the overlay: ") + key);
  };
  for (const std::string& lower : overlay.lowers) set("lowerdir+", lower);
  if (!overlay.upper.empty()) {
    set("upperdir", overlay.upper);
    set("workdir", overlay.work);
  }
  check(::fsconfig(context.get(), FSCONFIG_SET_FLAG, "userxattr", nullptr, 0),
        "mount the overlay: userxattr");
  check(::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0),
        "mount the overlay of many layers");
  UniqueFd mount(check(::fsmount(context.get(), FSMOUNT_CLOEXEC, attributes), "mount the overlay"));
  check(::move_mount(mount.get(), "", AT_FDCWD, overlay.lowers.front().c_str(), MOVE_MOUNT_F_EMPTY_PATH),
        "mount the overlay");
  return mount;
}

/// The kernel wants two layers if none can be written. One alone is shown as it is.
UniqueFd mount_only_layer(const std::string& lower) {
  UniqueFd mount(
      check(::open_tree(AT_FDCWD, lower.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE),
            "mount the only layer"));
  struct mount_attr attributes {};
  attributes.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_RDONLY;
  check(::mount_setattr(mount.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes),
        "mount the only layer");
  check(::move_mount(mount.get(), "", AT_FDCWD, lower.c_str(), MOVE_MOUNT_F_EMPTY_PATH),
        "mount the only layer");
  return mount;
}

void give_to_root(FdRef parent, const std::string& name) {
  check(::fchownat(parent.get(), name.c_str(), 0, 0, AT_SYMLINK_NOFOLLOW), "give the policy files to root");
  const auto info = stat_at(parent, name);
  if (!info || !S_ISDIR(info->st_mode)) return;
  const UniqueFd directory = open_directory(parent, name);
  for (const DirectoryEntry& entry : list_directory(directory)) give_to_root(directory, entry.name);
}

/// The library wrote these files as the caller. Root inside takes them over, moves them into place and
/// removes what was there before: with mapped ids nobody else can.
void adopt_directory(const std::string& from, const std::string& to) {
  constexpr std::string_view kPrefix = "policy-";
  const std::string name = from.substr(from.rfind('/') + 1);
  const std::string new_name = to.substr(to.rfind('/') + 1);
  const UniqueFd parent = open_directory(FdRef::cwd(), from.substr(0, from.rfind('/')));
  give_to_root(parent, name);
  for (const DirectoryEntry& entry : list_directory(parent)) {
    if (entry.name.starts_with(kPrefix) && entry.name != name) remove_tree_at(parent, entry.name);
  }
  rename_at(parent, name, parent, new_name, Replace::Yes);
}

}  // namespace

std::vector<UniqueFd> open_bind_sources(const std::vector<MountStep>& steps) {
  std::vector<UniqueFd> sources(steps.size());
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (steps[i].kind == MountKind::Bind) sources[i] = open_source(steps[i]);
  }
  return sources;
}

void make_mounts_private() {
  check(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "make the mounts private");
}

UniqueFd mount_overlay(const runtime::OverlayRoot& overlay) {
  if (!overlay.adopt_from.empty()) adopt_directory(overlay.adopt_from, overlay.adopt_to);
  if (overlay.lowers.empty()) throw Error(ErrorCode::InvalidInput, "an overlay without lower directories");
  if (overlay.lowers.size() == 1 && overlay.upper.empty()) return mount_only_layer(overlay.lowers.front());
  std::string options = "userxattr,lowerdir=";
  for (const std::string& lower : overlay.lowers) {
    // Ours are digests and fixed names; anything else could be read as further options or layers.
    if (lower.find_first_of(",:\\") != std::string::npos)
      throw Error(ErrorCode::InvalidInput, "bad layer name " + lower);
    if (&lower != &overlay.lowers.front()) options += ':';
    options += lower;
  }
  if (!overlay.upper.empty()) options += ",upperdir=" + overlay.upper + ",workdir=" + overlay.work;
  unsigned attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  if (overlay.upper.empty()) attributes |= MOUNT_ATTR_RDONLY;
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  if (options.size() >= page) return mount_many_layers(overlay, attributes);

  // Over the topmost lower directory: it surely exists, and nobody else sees this namespace.
  const char* target = overlay.lowers.front().c_str();
  unsigned long flags = MS_NOSUID | MS_NODEV;
  if (overlay.upper.empty()) flags |= MS_RDONLY;
  check(::mount("overlay", target, "overlay", flags, options.c_str()), "mount the overlay");
  return UniqueFd(check(::open(target, O_PATH | O_DIRECTORY | O_CLOEXEC), "open the overlay"));
}

void apply_mounts(FdRef root, const std::vector<MountStep>& steps, const std::vector<UniqueFd>& sources) {
  RootBuilder builder(root);
  for (std::size_t i = 0; i < steps.size(); ++i) builder.apply(steps[i], sources[i]);
}

void change_root(FdRef root) {
  check(::fchdir(root.get()), "enter the new root");
  check(static_cast<int>(::syscall(SYS_pivot_root, ".", ".")), "change the root");
  // The old root now lies on top of the new one; the working directory still is the new one beneath.
  check(::umount2(".", MNT_DETACH), "let the old root go");
  check(::chdir("/"), "enter the new root");
}

}  // namespace karapace::init
