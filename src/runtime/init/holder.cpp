// SPDX-License-Identifier: Apache-2.0
// The holder goes through: id maps, root inside, mounts, new root, "ready", and then waits until it is not
// needed any more.
//   Ephemeral: until the supervisor's end of the control socket closes.
//   Start: told to stay by one byte (before that, end of file means the supervisor died), until it gets the
//   exclusive lock on run/sessions, which every session holds shared. A kill -9 of the last supervisor frees
//   its lock, too.
// When the holder ends, the kernel kills everything in its pid namespace and the mounts go with the mount
// namespace.
//
// The holder keeps no directory of the host open: /proc/1/fd could lead out of the environment.
#include "holder.hpp"

#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "capabilities.hpp"
#include "id_map_writer.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/runtime/plan/holder_record.hpp"
#include "kernel.hpp"
#include "mounts.hpp"
#include "program.hpp"

namespace karapace::init {
namespace {

using runtime::LaunchMode;
using runtime::LaunchPlan;

constexpr char kReady = 'R';
constexpr char kFailed = 'E';
constexpr char kGo = 'G';
constexpr std::size_t kMaxReport = 4096;

void send_to(FdRef control, std::string_view message) noexcept {
  // If the other side is gone, nobody wants to know.
  [[maybe_unused]] const ssize_t sent = ::send(control.get(), message.data(), message.size(), MSG_NOSIGNAL);
}

/// One message; empty at end of file.
std::string receive_from(FdRef control) {
  std::array<char, kMaxReport> buffer;
  ssize_t received = -1;
  do received = ::recv(control.get(), buffer.data(), buffer.size(), 0);
  while (received < 0 && errno == EINTR);
  // A holder that died with a message of ours unread resets the connection.
  if (received < 0 && errno != ECONNRESET) throw_errno("hear from the holder");
  return std::string(buffer.data(), received > 0 ? static_cast<std::size_t>(received) : 0);
}

/// Fails as `start_holder` will report it.
void report_failure(FdRef control, ErrorCode code, std::string_view text, std::string_view fix) {
  std::string message{kFailed, static_cast<char>(code)};
  message.append(text.substr(0, kMaxReport / 2)).push_back('\0');
  message.append(fix.substr(0, kMaxReport / 4));
  send_to(control, message);
}

[[noreturn]] void throw_report(const std::string& message) {
  if (message.size() < 2 || message.front() != kFailed)
    throw Error(ErrorCode::Internal, "the first process of the environment died while setting it up");
  const std::size_t end = std::min(message.find('\0', 2), message.size());
  throw Error(static_cast<ErrorCode>(message[1]), message.substr(2, end - 2),
              end < message.size() ? message.substr(end + 1) : std::string());
}

void become_root_inside() {
  // The supplementary groups stay for now: a mount source may be reachable only through one of them.
  check(::setresgid(0, 0, 0), "become root inside");
  check(::setresuid(0, 0, 0), "become root inside");
  // Changing ids made us undumpable, and nobody could join the namespaces of an undumpable process.
  check(::prctl(PR_SET_DUMPABLE, 1), "become root inside");
}

void bring_loopback_up() {
  const UniqueFd socket(
      check(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "open a socket for the loopback device"));
  ifreq request{};
  request.ifr_name[0] = 'l';
  request.ifr_name[1] = 'o';
  check(::ioctl(socket.get(), SIOCGIFFLAGS, &request), "find the loopback device");
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  check(::ioctl(socket.get(), SIOCSIFFLAGS, &request), "bring the loopback device up");
}

/// "/" inside shows the owner of the upper directory, which the caller made.
void own_upper(const std::string& upper) {
  struct stat info {};
  check(::stat(upper.c_str(), &info), "look at the upper directory");
  if (info.st_uid != 0 || info.st_gid != 0) check(::lchown(upper.c_str(), 0, 0), "own the upper directory");
}

void build_environment(const LaunchPlan& plan) {
  const runtime::EnvironmentPlan& environment = plan.environment;
  const std::vector<UniqueFd> sources = open_bind_sources(environment.mounts);
  // Flat: the kernel does not allow it, and the groups mean nothing inside (all are unmapped).
  if (::setgroups(0, nullptr) != 0 && errno != EPERM) throw_errno("drop the supplementary groups");
  ::umask(0);
  if (environment.root) {
    if (plan.mode == LaunchMode::Start && !environment.root->upper.empty())
      own_upper(environment.root->upper);
    const UniqueFd root = mount_overlay(*environment.root);
    apply_mounts(root, environment.mounts, sources);
    change_root(root);
  } else {
    const UniqueFd root(check(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), "open the root directory"));
    apply_mounts(root, environment.mounts, sources);
    check(::chdir("/"), "enter the root directory");
  }
  if (!environment.hostname.empty())
    check(::sethostname(environment.hostname.data(), environment.hostname.size()), "set the host name");
  if (environment.isolate_network) bring_loopback_up();
}

/// Descriptors the holder keeps while nothing else is open.
struct HolderFiles {
  UniqueFd nested_user;
  UniqueFd sessions;  // an open file description of our own: a lock through an inherited one would be the
                      // supervisor's
};

HolderFiles open_holder_files(const LaunchPlan& plan) {
  HolderFiles files;
  if (plan.environment.nested_user) files.nested_user = make_nested_user(*plan.environment.nested_user);
  if (plan.mode != LaunchMode::Start) return files;
  const FdRef directory = FdRef::from_raw(plan.run_dir_fd);
  files.sessions = open_beneath(directory, "sessions", O_RDWR);
  return files;
}

void pass_on_stop(int /*signal_number*/) noexcept {
  const int saved = errno;
  ::kill(-1, SIGTERM);
  // An interactive shell ignores TERM and ends at HUP; a stopped process must run to see either.
  ::kill(-1, SIGHUP);
  ::kill(-1, SIGCONT);
  errno = saved;
}

void set_holder_signals() {
  struct sigaction action {};
  action.sa_handler = SIG_IGN;  // the kernel reaps orphans
  check(::sigaction(SIGCHLD, &action, nullptr), "set the signal handlers");
  action.sa_handler = pass_on_stop;
  action.sa_flags = SA_RESTART;
  check(::sigaction(SIGTERM, &action, nullptr), "set the signal handlers");
  sigset_t none;
  sigemptyset(&none);
  check(::sigprocmask(SIG_SETMASK, &none, nullptr), "set the signal mask");
}

[[noreturn]] void hold(const LaunchPlan& plan, UniqueFd control, HolderFiles files) {
  // Of all its rights it needs one: to tell processes of other users inside to stop.
  set_capabilities(Capabilities::OnlyKill);
  int nested_user = -1;
  if (files.nested_user)
    nested_user = check(::dup3(files.nested_user.get(), kNestedUserFd, O_CLOEXEC), "keep a namespace");
  close_all_from(0, {control.get(), files.sessions.get(), nested_user});
  send_to(control, std::string_view(&kReady, 1));
  const std::string answer = receive_from(control);
  if (plan.mode != LaunchMode::Start || answer.empty()) ::_exit(0);
  control.reset();
  release_program_pages();
  while (::flock(files.sessions.get(), LOCK_EX) != 0) {
    if (errno != EINTR) break;
  }
  // Whoever comes next must not join a holder that is about to go. Said by the process itself: it has no file
  // open that names it, for root inside could write another process of the host into that.
  ::prctl(PR_SET_NAME, runtime::kLeavingName);
  ::_exit(0);
}

/// Executes this program anew from a read-only mount that exists nowhere else, so that what runs inside
/// cannot write to the host's file through /proc/1/exe (CVE-2019-5736).
void continue_from_read_only_copy(FdRef control, const ProgramFile& own) {
  const std::string path = own_program_path();
  const UniqueFd program(check(::open(path.c_str(), O_PATH | O_CLOEXEC), "open " + path));
  if (!is_program(program, own))
    throw Error(ErrorCode::Unavailable, path + " was replaced while it ran", "Run the command again.");
  const UniqueFd copy(
      check(::open_tree(program.get(), "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC),
            "make a read-only copy of " + path));
  struct mount_attr attributes {};
  attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  check(::mount_setattr(copy.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes),
        "make a read-only copy of " + path);
  set_inheritable(control.get());
  execute_program(copy, kHolderName, {control.get()});
}

[[noreturn]] void finish_holder(const LaunchPlan& plan, UniqueFd control) {
  try {
    HolderFiles files = open_holder_files(plan);
    build_environment(plan);
    set_holder_signals();
    hold(plan, std::move(control), std::move(files));
  } catch (const Error& error) {
    report_failure(control, error.code(), error.message(), error.fix());
  } catch (const std::exception& error) {
    report_failure(control, ErrorCode::Internal, error.what(), {});
  }
  ::_exit(kOwnFailure);
}

[[noreturn]] void run_holder(const LaunchPlan& plan, UniqueFd control, const ProgramFile& program) {
  try {
    check(::prctl(PR_SET_NAME, kHolderName), "name the holder");
    // Away from the terminal: Ctrl-C there is for the session.
    check(::setsid(), "start a session");
    leave_session_keyring();
    if (written_inside(plan.environment.ids)) {
      write_own_maps(plan.environment.ids);
    } else if (receive_from(control).empty()) {
      ::_exit(kOwnFailure);  // the supervisor could not write them, and says why
    }
    become_root_inside();
    make_mounts_private();
    if (program.exposure == Exposure::Writable) continue_from_read_only_copy(control, program);
  } catch (const Error& error) {
    report_failure(control, error.code(), error.message(), error.fix());
    ::_exit(kOwnFailure);
  } catch (const std::exception& error) {
    report_failure(control, ErrorCode::Internal, error.what(), {});
    ::_exit(kOwnFailure);
  }
  finish_holder(plan, std::move(control));
}

[[noreturn]] void throw_namespace_error(const SystemError& error) {
  const int number = error.error_number();
  std::string fix;
  if (number == EPERM || number == EACCES)
    fix = "Unprivileged user namespaces are switched off here: see `karapace doctor`.";
  if (number == ENOSPC || number == EUSERS)
    fix = "Raise the sysctls user.max_*_namespaces: see `karapace doctor`.";
  throw Error(ErrorCode::Unsupported, error.message(), fix);
}

Clone make_namespaces(const LaunchPlan& plan) {
  try {
    return clone_process(namespaces_of(plan.environment));
  } catch (const SystemError& error) {
    throw_namespace_error(error);
  }
}

}  // namespace

std::uint64_t namespaces_of(const runtime::EnvironmentPlan& environment) {
  std::uint64_t flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWCGROUP;
  if (!environment.hostname.empty()) flags |= CLONE_NEWUTS;
  if (environment.isolate_network) flags |= CLONE_NEWNET;
  return flags;
}

Holder start_holder(const LaunchPlan& plan, const ProgramFile& program) {
  if (plan.store_root_fd >= 0) {
    // The working directory is carried over into the new mount namespace; a descriptor would stay behind in
    // the old one, where nothing can be mounted from.
    check(::fchdir(plan.store_root_fd), "enter the store");
  }
  SocketPair sockets = make_socketpair();
  Clone clone = make_namespaces(plan);
  if (clone.pid == 0) {
    sockets.a.reset();
    run_holder(plan, std::move(sockets.b), program);
  }
  sockets.b.reset();
  Holder holder{clone.pid, std::move(clone.pidfd), std::move(sockets.a)};
  if (!written_inside(plan.environment.ids)) {
    write_maps_of(holder.pid, plan.environment.ids);
    send_to(holder.control, std::string_view(&kGo, 1));
  }
  const std::string report = receive_from(holder.control);
  if (report.empty() || report.front() != kReady) throw_report(report);
  return holder;
}

void record_and_release(const LaunchPlan& plan, Holder& holder) {
  const auto identity = runtime::observe_process(holder.pid);
  if (!identity)
    throw Error(ErrorCode::Internal, "the first process of the environment died while it was recorded");
  const UniqueFd record = open_beneath(FdRef::from_raw(plan.run_dir_fd), "holder", O_RDWR);
  // Written under run/start.lock; a reader that sees half of it takes it for no holder.
  write_all(record, runtime::format_holder_record(*identity));
  send_to(holder.control, std::string_view(&kGo, 1));
  holder.control.reset();
}

[[noreturn]] void continue_holder(const LaunchPlan& plan, UniqueFd control) {
  check(::prctl(PR_SET_NAME, kHolderName), "name the holder");
  finish_holder(plan, std::move(control));
}

}  // namespace karapace::init
