// SPDX-License-Identifier: Apache-2.0
// What karapace-init is to do, as plain data. Built by pure functions, printed by --explain, carried out by
// karapace-init.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace karapace::runtime {

/// How the namespaces come to be and how long they live.
enum class LaunchMode : std::uint8_t {
  Ephemeral,  // new; they end with the process (builds, tree work)
  Start,      // new; a holder keeps them until the last session ends
  Join,       // those of a running holder
};

struct IdExtent {
  std::uint32_t inside = 0;
  std::uint32_t outside = 0;
  std::uint32_t count = 0;
  bool operator==(const IdExtent&) const = default;
};

struct IdMaps {
  std::vector<IdExtent> uids = {};
  std::vector<IdExtent> gids = {};
  bool use_helpers = false;  // newuidmap and newgidmap write them (subordinate ids)
  bool operator==(const IdMaps&) const = default;
};

enum class MountKind : std::uint8_t { Bind, Tmpfs, Proc, Sysfs, Devpts, Mqueue, Symlink, Directory, File };

/// One step of filling the new root, in order. Targets are resolved inside the new root, never through a link
/// to the outside.
struct MountStep {
  MountKind kind = MountKind::Bind;
  /// Bind: host path, opened as the caller before the root changes; a relative one is below the store root.
  /// Symlink: its text. File: its content.
  std::string source = {};
  std::string target = {};  // absolute inside the new root
  bool read_only = false;
  bool recursive = false;  // Bind: with what is mounted below it
  bool no_exec = false;
  bool allow_devices = false;  // Bind of a device node; everything else is nodev. nosuid always.
  bool create_target = false;  // only inside a tmpfs that this plan mounted (/dev, /run, /tmp)
  bool optional = false;       // a missing source is skipped
  std::uint32_t mode = 0755;   // Tmpfs, Directory, File
  std::string options = {};    // Tmpfs: "size=..." ; Devpts: "gid=5"; comma separated
  std::uint32_t uid = 0;       // Directory, File: owner as seen inside; must be mapped
  std::uint32_t gid = 0;
  int source_fd = -1;  // Bind: what was checked; the source must still be this very file (device and inode)
  bool operator==(const MountStep&) const = default;
};

struct OverlayRoot {
  std::vector<std::string> lowers = {};  // top first, relative to the store root
  std::string upper = {};                // relative to the store root; empty: read-only (frozen)
  std::string work = {};
  /// If not empty: before the mount, everything in `adopt_from` is given to root inside and the directory is
  /// renamed to `adopt_to`, beside it; what else is there and begins with "policy-" is removed.
  std::string adopt_from = {};
  std::string adopt_to = {};
  bool operator==(const OverlayRoot&) const = default;
};

/// "You" where only one id is mapped: a user namespace inside the environment's, whose only user is this one
/// (it is the same id of the host). One for all sessions, so that they see each other as the same user.
struct NestedUser {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  bool operator==(const NestedUser&) const = default;
};

/// The namespaces and the root file system: what sessions share.
struct EnvironmentPlan {
  IdMaps ids = {};
  std::optional<NestedUser> nested_user = {};
  bool isolate_network = false;          // own network namespace with `lo` up
  std::string hostname = {};             // empty: no uts namespace of its own
  std::optional<OverlayRoot> root = {};  // nothing: keep the host's root (tree work, mmdebstrap)
  std::vector<MountStep> mounts = {};
  bool operator==(const EnvironmentPlan&) const = default;
};

enum class TerminalMode : std::uint8_t {
  Inherit,  // descriptors as they are, in a session of its own
  Pty,      // a pseudo-terminal from the environment's devpts, relayed
};

/// One program started in an environment.
struct ProcessPlan {
  std::vector<std::string> argv = {};          // argv[0] is looked up in the PATH of `environment`, inside
  std::vector<std::string> login_shells = {};  // argv empty: the first that can be executed, as "-bash"
  std::vector<std::pair<std::string, std::string>> environment = {};
  std::vector<std::string> working_directories = {};  // the first that exists is used; "/" at last
  std::uint32_t uid = 0;                              // inside
  std::uint32_t gid = 0;
  bool nested_user_namespace =
      false;                          // run in the namespace of EnvironmentPlan::nested_user (flat, "as you")
  bool drop_all_capabilities = true;  // and the bounding set
  bool no_new_privileges = true;
  bool emulate_ownership =
      false;  // for people: the filter makes chown and set*id calls succeed without effect
  std::vector<std::uint8_t> seccomp_filter = {};  // BPF program (struct sock_filter[]); loaded last
  TerminalMode terminal = TerminalMode::Inherit;
  std::string terminal_prologue = {};  // Pty: written to the caller's terminal before and after (OSC 777)
  std::string terminal_epilogue = {};
  std::uint32_t umask = 022;
  std::vector<std::pair<std::string, std::string>> limits_reserved = {};  // place for rlimits and cgroups
  std::vector<int> keep_fds = {};  // passed on under the same number (build sandboxes only)
  bool operator==(const ProcessPlan&) const = default;
};

struct LaunchPlan {
  LaunchMode mode = LaunchMode::Ephemeral;
  std::string env_id = {};           // for messages; empty for builds
  EnvironmentPlan environment = {};  // Join: only tells which namespaces there are
  ProcessPlan process = {};
  // Descriptors that karapace-init inherits; -1 if not used.
  int store_root_fd = -1;     // overlay paths are relative to it
  int sessions_lock_fd = -1;  // Start, Join: env/<id>/run/sessions, locked shared
  int start_lock_fd = -1;     // Start: released when the holder is ready
  int run_dir_fd = -1;        // Start: the holder is recorded in it
  int holder_pidfd = -1;      // Join
  int status_fd = -1;         // optional: gets one byte just before exec, or an error report
  bool operator==(const LaunchPlan&) const = default;
};

/// Compact binary form, and back. decode throws InvalidInput on anything malformed; every length is bounded
/// (64 MiB in all).
[[nodiscard]] std::string encode_plan(const LaunchPlan& plan);
[[nodiscard]] LaunchPlan decode_plan(std::string_view bytes);
/// Pretty JSON for people: `exec --explain`.
[[nodiscard]] std::string explain_plan(const LaunchPlan& plan);

}  // namespace karapace::runtime
