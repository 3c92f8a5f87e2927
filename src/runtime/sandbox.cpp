// SPDX-License-Identifier: Apache-2.0
#include "karapace/runtime/sandbox.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>

#include "karapace/base/error.hpp"
#include "root_mounts.hpp"
#include "run_plan.hpp"
#include "system_call_filter.hpp"

namespace karapace::runtime {
namespace {

constexpr int kPlanFd = 3;
constexpr int kFirstFreeFd = 4;
// karapace-init and the workers put descriptors aside at numbers up to a hundred.
constexpr rlim_t kNeededFiles = 128;

std::string own_directory() {
  std::array<char, PATH_MAX> path;
  const ssize_t length = ::readlink("/proc/self/exe", path.data(), path.size());
  if (length < 0) throw_errno("find the file of this program");
  const std::string_view text(path.data(), static_cast<std::size_t>(length));
  return std::string(text.substr(0, text.rfind('/')));
}

}  // namespace

std::string find_helper(std::string_view name) {
  const std::string directory = own_directory();
  for (const char* place : {"", "/../bin", "/../libexec/karapace"}) {
    std::string path = fmt::format("{}{}/{}", directory, place, name);
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  throw Error(
      ErrorCode::NotFound, fmt::format("the internal program {} is missing", name),
      fmt::format("Install Karapace completely: {} belongs beside karapace or in libexec/karapace.", name));
}

LaunchPlan make_build_plan(const BuildSandbox& sandbox) {
  LaunchPlan plan;
  EnvironmentPlan& environment = plan.environment;
  environment.ids = make_id_maps(sandbox.ownership);
  environment.isolate_network = !sandbox.network;
  environment.hostname = "karapace";
  environment.root = sandbox.root;
  if (sandbox.root) {
    const bool tty_group = sandbox.ownership == Ownership::Mapped;
    environment.mounts =
        root_mounts(RootMounts{.tty_group = tty_group, .host_sys = false, .host_root = ::geteuid() == 0});
  } else {
    environment.mounts = {MountStep{.kind = MountKind::Proc, .target = "/proc"}};
  }
  environment.mounts.insert(environment.mounts.end(), sandbox.extra_mounts.begin(),
                            sandbox.extra_mounts.end());

  ProcessPlan& process = plan.process;
  process.argv = sandbox.argv;
  process.environment = sandbox.environment;
  process.working_directories = sandbox.working_directories;
  process.drop_all_capabilities = false;
  process.emulate_ownership = sandbox.ownership == Ownership::Flat;
  process.seccomp_filter =
      make_system_call_filter(process.emulate_ownership ? EmulateOwnership::Yes : EmulateOwnership::No);
  return plan;
}

RunResult run_plan(FdRef root, LaunchPlan plan, std::string_view input, const RunLimits& limits,
                   CancelToken* cancel, const std::function<void(std::string_view)>& on_stderr_line) {
  KARAPACE_ASSERT(plan.mode == LaunchMode::Ephemeral);
  Command command;
  command.program = find_helper("karapace-init");
  int root_fd = kFirstFreeFd;
  // Descriptors that the program gets keep their numbers; ours take one that is free.
  for (const int fd : plan.process.keep_fds) {
    KARAPACE_ASSERT(fd != kPlanFd);
    command.fds.push_back(FdMapping{FdRef::from_raw(fd), fd});
    root_fd = std::max(root_fd, fd + 1);
  }
  plan.store_root_fd = root_fd;
  const UniqueFd memfd = make_sealed_memfd("karapace-plan", encode_plan(plan));
  command.fds.push_back(FdMapping{memfd, kPlanFd});
  command.fds.push_back(FdMapping{root, root_fd});
  return run(command, input, limits, cancel, on_stderr_line);
}

void require_open_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) throw_errno("ask for the limit of open files");
  if (limit.rlim_cur >= kNeededFiles) return;
  throw Error(
      ErrorCode::Unsupported,
      fmt::format("at most {} files may be open at once, and this needs {}", limit.rlim_cur, kNeededFiles),
      "Raise the limit, for example: ulimit -n 1024");
}

RunResult run_sandboxed(const store::StoreLayout& store, const LaunchPlan& plan, std::string_view input,
                        const RunLimits& limits, CancelToken& cancel,
                        const std::function<void(std::string_view)>& on_stderr_line) {
  require_open_files();
  return run_plan(store.root(), plan, input, limits, &cancel, on_stderr_line);
}

RunResult run_sandboxed_checked(const store::StoreLayout& store, const LaunchPlan& plan,
                                std::string_view input, const RunLimits& limits, CancelToken& cancel,
                                const std::function<void(std::string_view)>& on_stderr_line) {
  RunResult result = run_sandboxed(store, plan, input, limits, cancel, on_stderr_line);
  if (result.status != 0) {
    KARAPACE_ASSERT(!plan.process.argv.empty());
    throw ProcessError(plan.process.argv.front(), result.status, result.err);
  }
  return result;
}

}  // namespace karapace::runtime
