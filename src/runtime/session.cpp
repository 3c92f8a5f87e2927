// SPDX-License-Identifier: Apache-2.0
// Start or join? Whoever has the shared lock on run/sessions can rely on a holder that is alive: it goes only
// with the exclusive one. Whoever finds none takes run/start.lock, looks again, and starts one; the lock is
// freed when the holder is recorded.
#include "karapace/runtime/session.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>

#include "host_user.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/runtime/sandbox.hpp"
#include "session_lock.hpp"
#include "session_plan.hpp"

namespace karapace::runtime {
namespace {

constexpr int kPlanFd = 3;

void check_state(const store::EnvRecord& record) {
  using enum store::EnvState;
  if (record.state == Built || record.state == Running || record.state == Frozen) return;
  throw Error(ErrorCode::Conflict,
              fmt::format("environment {} is {}", record.short_id, store::to_lower_string(record.state)),
              record.state == Archived ? "Restore it first." : "Run `karapace build` first.");
}

/// The record may be older than the lock we waited for: somebody may have committed to the environment, or
/// destroyed it.
SessionRequest with_present_record(const store::StoreLayout& store, const SessionRequest& request) {
  auto record = store::MetadataStore(store).find(request.record.env_id);
  if (!record)
    throw Error(ErrorCode::NotFound,
                fmt::format("environment {} was destroyed meanwhile", request.record.short_id));
  check_state(*record);
  SessionRequest present = request;
  present.record = std::move(*record);
  return present;
}

/// Calls `change` with every descriptor number of a plan.
template <typename Change>
void for_each_fd(LaunchPlan& plan, Change&& change) {
  for (int* fd : {&plan.store_root_fd, &plan.sessions_lock_fd, &plan.start_lock_fd, &plan.run_dir_fd,
                  &plan.holder_pidfd}) {
    if (*fd >= 0) change(*fd);
  }
  for (MountStep& step : plan.environment.mounts) {
    if (step.source_fd >= 0) change(step.source_fd);
  }
}

int keep(PreparedSession& session, UniqueFd fd) {
  session.fds.push_back(std::move(fd));
  return session.fds.back().get();
}

void start_holder(const store::StoreLayout& store, const SessionRequest& request, const HostUser& user,
                  UniqueFd run_directory, PreparedSession& session) {
  session.plan.mode = LaunchMode::Start;
  plan_environment(store, request, user, session.plan, session.fds);
  // Made by us: with mapped ids a file of the holder's making would belong to root inside, and we could not
  // write to it. Made anew: the old one may have names elsewhere, in a copy of the store that shares its
  // files.
  try_unlink_at(run_directory, "holder");
  open_beneath(run_directory, "holder", O_RDWR | O_CREAT | O_EXCL, 0600).close();
  session.plan.store_root_fd = keep(session, duplicate(store.root()));
  session.plan.run_dir_fd = keep(session, std::move(run_directory));
}

}  // namespace

PreparedSession prepare_session(const store::StoreLayout& store, const SessionRequest& request) {
  check_state(request.record);
  require_open_files();
  const HostUser user = current_user();
  PreparedSession session;
  session.plan.process = plan_process(store, request, user);
  UniqueFd run_directory = open_run_directory(store, request.record.env_id);
  session.plan.sessions_lock_fd = keep(session, join_sessions(run_directory).release());
  auto holder = find_holder(run_directory);
  if (!holder) {
    const SessionRequest present = with_present_record(store, request);
    FileLock start = lock_start(run_directory);
    holder = find_holder(run_directory);  // somebody may have started one while we waited
    if (!holder) {
      session.plan.start_lock_fd = keep(session, start.release());
      start_holder(store, present, user, std::move(run_directory), session);
      return session;
    }
  }
  session.plan.mode = LaunchMode::Join;
  plan_joined_environment(request, session.plan);
  session.plan.holder_pidfd = keep(session, std::move(holder->pidfd));
  return session;
}

void become_session(const store::StoreLayout& /*store*/, PreparedSession session) {
  const std::string program = find_helper("karapace-init");
  // Number 3 is the plan's. What lies there moves away; the plan is written when all numbers are known.
  for_each_fd(session.plan, [](int& fd) {
    if (fd == kPlanFd) {
      fd = ::fcntl(fd, F_DUPFD, kPlanFd + 1);
      if (fd < 0) throw_errno("pass a descriptor on");
    } else if (::fcntl(fd, F_SETFD, 0) != 0) {
      throw_errno("pass a descriptor on");
    }
  });
  const UniqueFd plan = make_sealed_memfd("karapace-plan", encode_plan(session.plan));
  if (plan.get() == kPlanFd ? ::fcntl(kPlanFd, F_SETFD, 0) != 0 : ::dup2(plan.get(), kPlanFd) < 0)
    throw_errno("pass a descriptor on");
  replace_process(program, {"karapace-init"});
}

ChildProcess spawn_session(const store::StoreLayout& /*store*/, PreparedSession session, FdRef in, FdRef out,
                           FdRef err) {
  Command command;
  command.program = find_helper("karapace-init");
  command.own_process_group = false;  // Ctrl-C on the caller's terminal is for the session
  command.fds = {{in, 0}, {out, 1}, {err, 2}};
  int next = kPlanFd + 1;
  for_each_fd(session.plan, [&](int& fd) {
    command.fds.push_back(FdMapping{FdRef::from_raw(fd), next});
    fd = next++;
  });
  const UniqueFd plan = make_sealed_memfd("karapace-plan", encode_plan(session.plan));
  command.fds.push_back(FdMapping{plan, kPlanFd});
  return spawn(command);
}

}  // namespace karapace::runtime
