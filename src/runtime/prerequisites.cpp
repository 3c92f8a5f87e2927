// SPDX-License-Identifier: Apache-2.0
#include "karapace/runtime/prerequisites.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <optional>

#include "karapace/base/clock.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/subprocess.hpp"
#include "karapace/base/text.hpp"
#include "karapace/base/xattr.hpp"
#include "karapace/runtime/sandbox.hpp"
#include "karapace/store/layout.hpp"
#include "mount_policy.hpp"
#include "run_plan.hpp"

namespace karapace::runtime {
namespace {

constexpr std::size_t kMaxSmallFile = 64 * 1024;

std::string read_small(const std::string& path) {
  try {
    return read_all(open_path(path, O_RDONLY), kMaxSmallFile);
  } catch (const Error&) {
    return {};
  }
}

/// How the host's distribution installs a package.
std::string install_command(const std::string& package) {
  constexpr std::pair<const char*, const char*> kManagers[] = {{"apt-get", "sudo apt install"},
                                                               {"dnf", "sudo dnf install"},
                                                               {"zypper", "sudo zypper install"},
                                                               {"pacman", "sudo pacman -S"}};
  for (const auto& [program, command] : kManagers) {
    if (find_program(program)) return fmt::format("{} {}", command, package);
  }
  return fmt::format("install the package {}", package);
}

/// A directory that goes with this object, on the file system of the store.
class Scratch {
 public:
  Scratch() {
    std::string place = store::default_store_path();
    while (place.size() > 1 && ::access(place.c_str(), W_OK | X_OK) != 0)
      place.resize(std::max<std::size_t>(place.rfind('/'), 1));
    if (place == "/" && ::access("/", W_OK) != 0) place = "/var/tmp";
    parent_ = open_path(place, O_RDONLY | O_DIRECTORY);
    name_ = ".karapace-probe-" + random_hex(8);
    make_directory_at(parent_, name_, 0755);
    directory_ = open_directory(parent_, name_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    try {
      remove_tree_at(parent_, name_);
    } catch (const Error&) {
      // A left-over empty directory does no harm, and there is nobody to tell.
    }
  }
  [[nodiscard]] const UniqueFd& directory() const noexcept { return directory_; }

 private:
  UniqueFd parent_;
  std::string name_;
  UniqueFd directory_;
};

/// What went wrong, or nothing.
std::optional<std::string> try_run(const UniqueFd& root, BuildSandbox sandbox) {
  sandbox.environment = {{"PATH", "/usr/sbin:/usr/bin:/sbin:/bin"}};
  const RunResult result =
      run_plan(root, make_build_plan(sandbox), {}, {.deadline = std::chrono::seconds(30)}, nullptr, {});
  if (result.status == 0) return std::nullopt;
  std::string reason = result.err.substr(0, result.err.find('\n'));
  constexpr std::string_view kPrefix = "karapace: ";
  if (reason.starts_with(kPrefix)) reason.erase(0, kPrefix.size());
  return reason.empty() ? fmt::format("the test program ended with status {}", result.status)
                        : printable(reason, 400);
}

std::string namespace_fix() {
  if (read_small("/proc/sys/kernel/unprivileged_userns_clone").starts_with('0'))
    return "sudo sysctl -w kernel.unprivileged_userns_clone=1";
  if (read_small("/proc/sys/user/max_user_namespaces").starts_with('0'))
    return "sudo sysctl -w user.max_user_namespaces=15000";
  if (read_small("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").starts_with('1'))
    return "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0";
  if (read_small("/proc/sys/kernel/apparmor_restrict_unprivileged_unconfined").starts_with('1'))
    return "give karapace an AppArmor profile that allows user namespaces";
  return "allow unprivileged user namespaces (CONFIG_USER_NS=y; in a container: run it with user namespaces "
         "allowed)";
}

Prerequisite check_namespaces(const UniqueFd& scratch) {
  const auto failure = try_run(scratch, BuildSandbox{.argv = {"true"}});
  if (!failure) return {"user_namespaces", CheckStatus::Pass, "unprivileged user namespaces work", ""};
  return {"user_namespaces", CheckStatus::Fail, *failure, namespace_fix()};
}

/// An overlay root in which the host's programs can run, with something to delete and to replace.
BuildSandbox make_overlay_probe(const UniqueFd& scratch) {
  BuildSandbox sandbox;
  sandbox.root = OverlayRoot{.lowers = {"lower"}, .upper = "upper", .work = "work"};
  for (const char* path :
       {"lower", "lower/proc", "lower/dev", "lower/run", "lower/tmp", "lower/usr", "lower/probe",
        "lower/probe/replaced", "lower/probe/replaced/old", "lower/probe/gone", "upper", "work"})
    make_directory_at(scratch, path, 0755);
  const auto show = [&](const std::string& path) {
    MountStep step;
    step.source = path;
    step.target = path;
    step.read_only = true;
    step.recursive = true;
    sandbox.extra_mounts.push_back(std::move(step));
  };
  show("/usr");
  for (const char* name : {"bin", "sbin", "lib", "lib32", "lib64", "libx32"}) {
    struct stat info {};
    const std::string path = std::string("/") + name;
    if (::lstat(path.c_str(), &info) != 0) continue;
    if (S_ISLNK(info.st_mode)) {
      symlink_at(read_link(path), scratch, std::string("lower/") + name);
    } else {
      make_directory_at(scratch, std::string("lower/") + name, 0755);
      show(path);
    }
  }
  return sandbox;
}

Prerequisite check_overlay(const UniqueFd& scratch) {
  const std::string fix =
      "use Linux 5.11 or newer, and keep the store on a file system with user extended attributes "
      "(ext4, xfs, btrfs; not NFS)";
  BuildSandbox probe = make_overlay_probe(scratch);
  probe.argv = {"rm", "-r", "/probe/gone", "/probe/replaced"};
  auto failure = try_run(scratch, probe);
  if (!failure) {
    probe.argv = {"mkdir", "/probe/replaced"};
    failure = try_run(scratch, probe);
  }
  if (failure) return {"overlay", CheckStatus::Fail, *failure, fix};
  const UniqueFd changes = open_directory(scratch, "upper/probe");
  const auto whiteout = stat_at(changes, "gone");
  if (!whiteout || !S_ISCHR(whiteout->st_mode) || whiteout->st_rdev != makedev(0, 0))
    return {"overlay", CheckStatus::Fail, "a deletion left no whiteout in the upper directory", fix};
  for (const auto& [key, value] : list_xattrs(changes, "replaced")) {
    if (key == "user.overlay.opaque" && value == "y")
      return {"overlay", CheckStatus::Pass, "overlayfs works in a user namespace", ""};
  }
  return {"overlay", CheckStatus::Fail, "a replaced directory was not marked opaque", fix};
}

Prerequisite check_helper(const char* name) {
  try {
    return {name, CheckStatus::Pass, find_helper(name), ""};
  } catch (const Error& error) {
    return {name, CheckStatus::Fail, error.message(), error.fix()};
  }
}

Prerequisite check_program(const char* name, const char* purpose, const char* package) {
  if (auto path = find_program(name)) return {name, CheckStatus::Pass, *path, ""};
  return {name, CheckStatus::Warn, fmt::format("{} is missing: needed {}", name, purpose),
          install_command(package)};
}

Prerequisite check_subordinate_ids() {
  try {
    static_cast<void>(make_id_maps(Ownership::Mapped));
    return {"subordinate_ids", CheckStatus::Pass, "mapped ownership is possible", ""};
  } catch (const Error& error) {
    // Flat environments, the default, need none.
    return {"subordinate_ids", CheckStatus::Info, error.message(), error.fix()};
  }
}

}  // namespace

std::vector<Prerequisite> check_prerequisites() {
  std::vector<Prerequisite> checks;
  checks.push_back(check_helper("karapace-init"));
  checks.push_back(check_helper("karapace-worker"));
  checks.push_back(check_helper("karapace-fetch"));
  if (checks.front().status == CheckStatus::Pass) {
    try {
      const Scratch scratch;
      checks.push_back(check_namespaces(scratch.directory()));
      if (checks.back().status == CheckStatus::Pass) checks.push_back(check_overlay(scratch.directory()));
    } catch (const Error& error) {
      checks.push_back({"overlay", CheckStatus::Fail, error.message(), error.fix()});
    }
  }
  checks.push_back(check_program("mmdebstrap", "to build Debian and Ubuntu base images", "mmdebstrap"));
  checks.push_back(
      check_program("apt-get", "to choose the packages of a Debian or Ubuntu base image", "apt"));
  if (::geteuid() != 0) {
    checks.push_back(check_program("newuidmap", "for mapped ownership only", "uidmap"));
    if (checks.back().status != CheckStatus::Pass) checks.back().status = CheckStatus::Info;
  }
  checks.push_back(check_subordinate_ids());
  return checks;
}

}  // namespace karapace::runtime
