// SPDX-License-Identifier: Apache-2.0
#include "session_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/runtime/sandbox.hpp"
#include "layered_root.hpp"
#include "mount_policy.hpp"
#include "policy_root.hpp"
#include "root_mounts.hpp"
#include "session_paths.hpp"
#include "system_call_filter.hpp"

namespace karapace::runtime {
namespace {

constexpr std::size_t kMaxSkeletonFile = 1024 * 1024;

Ownership ownership_of(const store::EnvRecord& record) {
  return record.ownership == to_string(Ownership::Mapped) ? Ownership::Mapped : Ownership::Flat;
}

/// Trees of the layers, top first.
std::vector<std::string> trees_of(const store::EnvRecord& record) {
  const std::vector<std::string> stack = store::layer_stack(record);
  std::vector<std::string> trees;
  for (auto layer = stack.rbegin(); layer != stack.rend(); ++layer) {
    std::string tree = "trees/" + *layer;
    // An overlay refuses a directory twice. Of two equal layers the upper one hides all that the lower one
    // shows or hides, so that one is enough.
    if (std::ranges::find(trees, tree) == trees.end()) trees.push_back(std::move(tree));
  }
  return trees;
}

/// What /etc/skel of the image has, once, for a home that is still empty.
void fill_home(const store::StoreLayout& store, FdRef environment, const std::vector<std::string>& layers) {
  constexpr const char* kDone = "run/home-filled";
  ensure_directory_at(environment, "home", 0700);
  if (exists_at(environment, kDone)) return;
  const UniqueFd home = open_directory(environment, "home");
  if (list_directory(home).empty()) {
    const LayeredRoot root(store.root(), layers);
    for (const std::string& name : root.list("/etc/skel")) {
      const auto content = root.read_file("/etc/skel/" + name, kMaxSkeletonFile);
      if (!content) continue;
      UniqueFd file = open_beneath(home, name, O_WRONLY | O_CREAT | O_EXCL, 0644);
      write_all(file, *content);
      file.close();
    }
  }
  open_beneath(environment, kDone, O_WRONLY | O_CREAT, 0600).close();
}

/// Puts mounts at the places that the policy found for them.
class SessionMounts {
 public:
  SessionMounts(const store::StoreLayout& store, const SessionRequest& request, const HostUser& user)
      : store_(store),
        request_(request),
        user_(user),
        home_(home_of_user(request.manifest, user)),
        mounts_(allow_mounts(request.manifest, request.manifest_directory, store.root_path(), user)) {
    if (request.manifest.home == Home::Shared) {
      if (home_ == "/")
        throw Error(ErrorCode::InvalidInput, "a shared home needs a home directory, and yours is \"/\"");
      shared_home_ = open_path(home_, O_PATH | O_DIRECTORY);
    }
  }

  [[nodiscard]] std::vector<MountTarget> targets() const {
    std::vector<MountTarget> targets{{home_, true}};
    for (const AllowedMount& allowed : mounts_)
      targets.push_back({allowed.mount.container_path, allowed.is_directory});
    return targets;
  }

  void add_to(std::vector<MountStep>& steps, const std::vector<PlacedTarget>& placed,
              std::vector<UniqueFd>& fds) {
    add_home(steps, placed.front(), fds);
    for (std::size_t i = 0; i < mounts_.size(); ++i) {
      AllowedMount& allowed = mounts_[i];
      if (placed[i + 1].unreachable) {
        throw Error(ErrorCode::Conflict,
                    fmt::format("{} cannot be mounted: the environment's own changes took its place away",
                                allowed.mount.container_path),
                    "Choose another place inside in [mounts] of the manifest.");
      }
      MountStep step = bind(allowed.host_path, placed[i + 1]);
      step.read_only = allowed.mount.access == MountAccess::ReadOnly;
      step.source_fd = allowed.host.get();
      fds.push_back(std::move(allowed.host));
      steps.push_back(std::move(step));
    }
  }

 private:
  static MountStep bind(std::string source, const PlacedTarget& place) {
    MountStep step;
    step.source = std::move(source);
    step.target = place.path;
    // Whatever is mounted below comes along: the kernel does not let us show what a mount hides.
    step.recursive = true;
    step.create_target = place.in_memory;
    return step;
  }

  void add_home(std::vector<MountStep>& steps, const PlacedTarget& place, std::vector<UniqueFd>& fds) {
    // A home that the environment's own changes took away is no reason to lock the user out.
    if (place.unreachable) return;
    if (!shared_home_) {
      MountStep step = bind("env/" + request_.record.env_id + "/home", place);
      step.read_only = request_.record.state == store::EnvState::Frozen;
      steps.push_back(std::move(step));
      return;
    }
    const std::string host = canonical_path(*shared_home_);
    MountStep step = bind(host, place);
    step.source_fd = shared_home_->get();
    steps.push_back(std::move(step));
    fds.push_back(*std::move(shared_home_));
    // Programs inside share the home, but not the store in it.
    const std::string store = canonical_path(open_path(store_.root_path(), O_PATH | O_DIRECTORY));
    if (!is_within(store, host)) return;
    MountStep cover;
    cover.kind = MountKind::Tmpfs;
    cover.target = place.path + store.substr(host.size());
    cover.read_only = true;
    cover.mode = 0555;
    cover.options = "size=4k";
    steps.push_back(std::move(cover));
  }

  const store::StoreLayout& store_;
  const SessionRequest& request_;
  const HostUser& user_;
  std::string home_;
  std::vector<AllowedMount> mounts_;
  std::optional<UniqueFd> shared_home_;
};

void add_runtime_directories(std::vector<MountStep>& steps, const SessionRequest& request,
                             const HostUser& user, bool other_ids_mapped) {
  const auto directory = [&](std::string path, std::uint32_t mode, bool of_user) {
    MountStep step;
    step.kind = MountKind::Directory;
    step.target = std::move(path);
    step.mode = mode;
    if (of_user && other_ids_mapped) {
      step.uid = user.uid;
      step.gid = user.gid;
    }
    steps.push_back(std::move(step));
  };
  directory("/run/lock", 01777, false);
  directory("/run/user", 0755, false);
  directory(runtime_directory_of(user.uid), 0700, true);
  if (user.uid != 0) directory(runtime_directory_of(0), 0700, false);
  MountStep marker;
  marker.kind = MountKind::File;
  marker.target = "/run/.containerenv";
  marker.mode = 0644;
  marker.source = fmt::format("engine=\"karapace\"\nname=\"{}\"\nid=\"{}\"\nrootless=1\n",
                              hostname_of(request.record), request.record.env_id);
  steps.push_back(std::move(marker));
}

/// The caller's directory as the environment shows it: through the mount that is nearest to it.
std::optional<std::string> translated_directory(const store::StoreLayout& store,
                                                const SessionRequest& request, const HostUser& user) {
  const std::string& here = request.host_working_directory;
  if (!here.starts_with('/')) return std::nullopt;
  std::optional<std::string> result;
  std::size_t nearest = 0;
  try {
    for (const AllowedMount& allowed :
         allow_mounts(request.manifest, request.manifest_directory, store.root_path(), user)) {
      if (!allowed.is_directory || !is_within(here, allowed.host_path) || allowed.host_path.size() <= nearest)
        continue;
      nearest = allowed.host_path.size();
      result = allowed.mount.container_path + here.substr(nearest);
    }
  } catch (const Error&) {
    // A mount that is gone since the environment was started: it matters when it is started again, not here.
  }
  if (!result && request.manifest.home == Home::Shared && is_within(here, user.home)) result = here;
  return result;
}

}  // namespace

void plan_joined_environment(const SessionRequest& request, LaunchPlan& plan) {
  plan.env_id = request.record.env_id;
  plan.environment.hostname = hostname_of(request.record);
  plan.environment.isolate_network = request.manifest.network_isolation;
}

void plan_environment(const store::StoreLayout& store, const SessionRequest& request, const HostUser& user,
                      LaunchPlan& plan, std::vector<UniqueFd>& fds) {
  plan_joined_environment(request, plan);
  const store::EnvRecord& record = request.record;
  const Ownership ownership = ownership_of(record);
  EnvironmentPlan& environment = plan.environment;
  environment.ids = make_id_maps(ownership);
  const bool flat = ownership == Ownership::Flat;
  if (flat && user.uid != 0) environment.nested_user = NestedUser{user.uid, user.gid};

  const std::string directory = "env/" + record.env_id;
  const UniqueFd opened = open_directory(store.root(), directory);
  const bool frozen = record.state == store::EnvState::Frozen;
  ensure_directory_at(opened, "upper", 0755);
  ensure_directory_at(opened, "work", 0700);
  const std::vector<std::string> trees = trees_of(record);
  fill_home(store, opened, trees);

  SessionMounts mounts(store, request, user);
  const PolicyRoot policy = ensure_policy(store, PolicyRequest{.env_id = record.env_id,
                                                               .layers = trees,
                                                               .user = user,
                                                               .home = home_of_user(request.manifest, user),
                                                               .hostname = environment.hostname,
                                                               .isolate_network = environment.isolate_network,
                                                               .targets = mounts.targets()});
  OverlayRoot root;
  if (frozen) root.lowers.push_back(directory + "/upper");
  root.lowers.push_back(policy.directory);
  root.lowers.insert(root.lowers.end(), trees.begin(), trees.end());
  if (!frozen) {
    root.upper = directory + "/upper";
    root.work = directory + "/work";
  }
  root.adopt_from = policy.adopt_from;
  root.adopt_to = policy.adopt_from.empty() ? std::string() : policy.directory;
  environment.root = std::move(root);

  environment.mounts =
      root_mounts(RootMounts{.tty_group = !flat, .host_sys = true, .host_root = user.uid == 0});
  add_runtime_directories(environment.mounts, request, user, !flat);
  mounts.add_to(environment.mounts, policy.targets, fds);
}

ProcessPlan plan_process(const store::StoreLayout& store, const SessionRequest& request,
                         const HostUser& user) {
  const SessionPaths paths = session_paths(request, user);
  const bool flat = ownership_of(request.record) == Ownership::Flat;
  ProcessPlan process;
  process.argv = request.command;
  process.login_shells = login_shells_of(user);
  process.environment = session_environment(request, user);
  if (auto here = translated_directory(store, request, user))
    process.working_directories.push_back(*std::move(here));
  process.working_directories.push_back(paths.home);
  process.uid = paths.uid;
  process.gid = paths.gid;
  process.drop_all_capabilities = !request.as_root;
  if (flat && user.uid != 0) process.nested_user_namespace = !request.as_root;
  process.emulate_ownership = flat && request.as_root;
  process.seccomp_filter =
      make_system_call_filter(process.emulate_ownership ? EmulateOwnership::Yes : EmulateOwnership::No);
  if (request.want_terminal) {
    process.terminal = TerminalMode::Pty;
    process.terminal_prologue =
        fmt::format("\033]777;container;push;{};karapace;{}\033\\", paths.hostname, request.record.env_id);
    process.terminal_epilogue = "\033]777;container;pop;;\033\\";
  }
  return process;
}

}  // namespace karapace::runtime
