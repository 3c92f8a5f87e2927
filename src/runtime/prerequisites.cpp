// SPDX-License-Identifier: Apache-2.0
// Each feature is used once in a scratch directory rather than guessed from a version number: distributions
// patch kernels, and administrators switch things off.
#include "karapace/runtime/prerequisites.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>

#include "karapace/base/clock.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/subprocess.hpp"
#include "karapace/base/xattr.hpp"
#include "karapace/runtime/sandbox.hpp"
#include "karapace/store/layout.hpp"

namespace karapace::runtime {
namespace {

constexpr const char* kUserNamespaceFix =
    "Enable unprivileged user namespaces: sysctl user.max_user_namespaces (not 0), "
    "kernel.unprivileged_userns_clone=1 where "
    "it exists, kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu.";

/// A store in a temporary directory, on the file system of the real one if that is writable.
class Scratch {
 public:
  Scratch() : path_(make()), layout_(store::StoreLayout::open_or_create(path_)) {}
  ~Scratch() {
    try {
      const std::filesystem::path path(path_);
      remove_tree_at(open_path(path.parent_path().string(), O_RDONLY | O_DIRECTORY),
                     path.filename().string());
    } catch (const Error&) {
      // A left-over in a directory for temporary files harms nobody, and a destructor has no one to tell.
      return;
    }
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  [[nodiscard]] const store::StoreLayout& layout() const noexcept { return layout_; }

 private:
  static std::string make() {
    std::string parent = store::default_store_path();
    if (::access(parent.c_str(), W_OK) != 0) parent = std::filesystem::temp_directory_path().string();
    return fmt::format("{}/.doctor-{}", parent, random_hex(8));
  }
  std::string path_;
  store::StoreLayout layout_;
};

RunResult run_probe(const store::StoreLayout& layout, const BuildSandbox& sandbox) {
  RunLimits limits;
  limits.deadline = std::chrono::seconds(20);
  return run_sandboxed(layout, make_build_plan(sandbox), {}, limits, CancelToken::process());
}

std::string last_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  const auto start = text.rfind('\n');
  return start == std::string::npos ? text : text.substr(start + 1);
}

Prerequisite check_user_namespaces(const store::StoreLayout& layout) {
  Prerequisite result{"user_namespaces", CheckStatus::Pass, "user, mount and pid namespaces work", {}};
  const auto probe = run_probe(layout, {.argv = {"/bin/true"}, .environment = {{"PATH", "/usr/bin:/bin"}}});
  if (probe.status != 0) {
    result.status = CheckStatus::Fail;
    result.message = fmt::format("a new user namespace cannot be set up: {}", last_line(probe.err));
    result.fix = kUserNamespaceFix;
  }
  return result;
}

/// A root with the host's programs in it, over an empty upper directory.
BuildSandbox overlay_probe(const store::StoreLayout& layout) {
  BuildSandbox sandbox;
  const FdRef root = layout.root();
  for (const char* name : {"lower", "lower/victim", "lower/proc", "lower/dev", "lower/tmp", "lower/run",
                           "lower/sys", "lower/usr", "upper", "work"}) {
    make_directory_at(root, name, 0755);
  }
  sandbox.extra_mounts.push_back(
      {.kind = MountKind::Bind, .source = "/usr", .target = "/usr", .read_only = true});
  const UniqueFd host = open_path("/", O_RDONLY | O_DIRECTORY);
  const UniqueFd lower = open_directory(root, "lower");
  for (const char* name : {"bin", "lib", "lib64"}) {
    const auto info = stat_at(host, name);
    if (info && S_ISLNK(info->st_mode)) {
      symlink_at(fmt::format("usr/{}", name), lower, name);
    } else if (info) {
      make_directory_at(lower, name, 0755);
      sandbox.extra_mounts.push_back({.kind = MountKind::Bind,
                                      .source = fmt::format("/{}", name),
                                      .target = fmt::format("/{}", name),
                                      .read_only = true});
    }
  }
  sandbox.root = OverlayRoot{{"lower"}, "upper", "work"};
  sandbox.environment = {{"PATH", "/usr/bin:/bin"}};
  return sandbox;
}

Prerequisite check_overlay(const store::StoreLayout& layout) {
  Prerequisite result{
      "overlay", CheckStatus::Pass, "the kernel's overlayfs works in a user namespace, with whiteouts", {}};
  BuildSandbox sandbox = overlay_probe(layout);
  sandbox.argv = {"rmdir", "/victim"};
  const auto probe = run_probe(layout, sandbox);
  const auto whiteout = stat_at(layout.root(), "upper/victim");
  const bool works =
      probe.status == 0 && whiteout && S_ISCHR(whiteout->st_mode) && whiteout->st_rdev == makedev(0, 0);
  if (!works) {
    result.status = CheckStatus::Fail;
    result.message = fmt::format("overlayfs in a user namespace does not work at {}: {}", layout.root_path(),
                                 last_line(probe.err));
    result.fix =
        "Linux 5.11 or newer is needed, and a store on ext4, xfs, btrfs, or tmpfs since Linux 6.6 (choose it "
        "with "
        "KARAPACE_STORE).";
  }
  return result;
}

Prerequisite check_mapped() {
  Prerequisite result{"subordinate_ids", CheckStatus::Pass, "ownership = \"mapped\" works", {}};
  try {
    (void)make_id_maps(Ownership::Mapped);
  } catch (const Error& error) {
    // Flat, the default, needs none.
    result.status = CheckStatus::Info;
    result.message = error.message();
    result.fix = error.fix();
  }
  return result;
}

Prerequisite check_tool(const char* name, const char* purpose, const char* package) {
  if (find_program(name)) return {name, CheckStatus::Pass, fmt::format("{}: found", purpose), {}};
  return {name, CheckStatus::Warn, fmt::format("{} is not installed: {}", name, purpose),
          fmt::format("Install the package \"{}\".", package)};
}

Prerequisite check_helper(const char* name) {
  try {
    return {name, CheckStatus::Pass, find_helper(name), {}};
  } catch (const Error& error) {
    return {name, CheckStatus::Fail, error.message(), error.fix()};
  }
}

}  // namespace

std::vector<Prerequisite> check_prerequisites() {
  std::vector<Prerequisite> results;
  for (const char* helper : {"karapace-init", "karapace-worker", "karapace-fetch"})
    results.push_back(check_helper(helper));
  try {
    const Scratch scratch;
    results.push_back(check_user_namespaces(scratch.layout()));
    if (results.back().status == CheckStatus::Pass) results.push_back(check_overlay(scratch.layout()));
  } catch (const Error& error) {
    results.push_back({"user_namespaces", CheckStatus::Fail, error.message(), error.fix()});
  }
  results.push_back(check_mapped());
  results.push_back(check_tool("mmdebstrap", "Debian bases are made with it", "mmdebstrap"));
  results.push_back(check_tool("apt-get", "Debian bases are resolved with it", "apt"));
  return results;
}

}  // namespace karapace::runtime
