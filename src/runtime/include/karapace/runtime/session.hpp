// SPDX-License-Identifier: Apache-2.0
// Sessions in built environments: enter and exec, who is running, stop.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "karapace/base/file_lock.hpp"
#include "karapace/base/subprocess.hpp"
#include "karapace/runtime/plan/launch_plan.hpp"
#include "karapace/schema/manifest.hpp"
#include "karapace/store/layout.hpp"
#include "karapace/store/metadata.hpp"

namespace karapace::runtime {

/// The user as the environment shows them.
struct HostUser {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::string name = {};  // from /etc/passwd by uid, else $USER if it is a valid name, else "user"
  std::string home = {};  // host home directory
  std::string shell = {};
};
/// Reads /etc/passwd itself: no NSS, so that a static program works and nothing is loaded.
[[nodiscard]] HostUser current_user();

struct SessionRequest {
  store::EnvRecord record = {};
  Manifest manifest = {};
  std::string manifest_directory = {};    // "./" mounts are relative to it
  std::vector<std::string> command = {};  // empty: a login shell
  bool as_root = false;
  bool want_terminal = false;  // own pty (enter on a terminal)
  std::vector<std::pair<std::string, std::string>>
      host_environment;  // the caller's variables, to be filtered
  std::string host_working_directory = {};
};

/// A plan with the descriptors it needs, ready to start. Holds the session lock.
struct PreparedSession {
  LaunchPlan plan = {};
  std::vector<UniqueFd> fds = {};  // those that the plan names; numbers are assigned when it is started
};
/// Decides Start or Join, makes env/<id>/policy on Start. May wait for a session that is just ending or
/// starting. Throws Conflict if the environment is not Built (or Frozen).
[[nodiscard]] PreparedSession prepare_session(const store::StoreLayout& store, const SessionRequest& request);

/// Replaces this process by the session (execve of karapace-init). Returns only by throwing.
[[noreturn]] void become_session(const store::StoreLayout& store, PreparedSession session);
/// Starts it as a child with the given standard streams. For library callers and tests.
[[nodiscard]] ChildProcess spawn_session(const store::StoreLayout& store, PreparedSession session, FdRef in,
                                         FdRef out, FdRef err);

struct SessionStatus {
  bool running = false;
  pid_t holder_pid = 0;  // host pid, 0 if not running
};
/// From the lock and the holder record; never waits, works on a read-only store, cheap when nothing runs.
[[nodiscard]] SessionStatus session_status(const store::StoreLayout& store, const std::string& env_id);

enum class StopResult { NotRunning, Terminated, Killed };
/// TERM to everything inside, waits up to `grace`, then KILL; returns when the holder is gone. By pidfd
/// throughout.
StopResult stop_sessions(const store::StoreLayout& store, const std::string& env_id,
                         std::chrono::milliseconds grace);

/// For whoever changes an environment: while the lock lives no session is open in it and none can start (they
/// wait). Nothing if one is open. Throws NotFound if there is no env/<id>.
[[nodiscard]] std::optional<FileLock> lock_out_sessions(const store::StoreLayout& store,
                                                        const std::string& env_id);

/// Whether the mounts of a manifest may be made on this host, as prepare_session will do it. A host path
/// ("~/", "./" of the manifest's directory, absolute) is opened, and what it led to must lie below your home,
/// the manifest's directory, /tmp, /mnt, /media or /srv, and must neither hold the store nor lie in it.
/// Throws PermissionDenied with the reason, NotFound for a missing one.
void check_mounts(const Manifest& manifest, const std::string& manifest_directory,
                  const std::string& store_root);

/// Which host variables cross: allow-list minus deny-list (design 8). Sorted.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> session_environment(
    const SessionRequest& request, const HostUser& user);

}  // namespace karapace::runtime
