// SPDX-License-Identifier: Apache-2.0
#include "process_tree.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"

namespace karapace::lab {
namespace {

// Half a minute, in slices: if this program is stopped meanwhile, only one of them passes.
constexpr int kSlice = 100;  // milliseconds
constexpr int kPatience = 300;
constexpr int kMaxErrno = 133;
constexpr std::size_t kMaxOutput = 1024 * 1024;

UniqueFd listen_at(const std::string& path) {
  UniqueFd listener(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener) throw_errno("socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) throw Error(ErrorCode::InvalidInput, "path too long: " + path);
  std::ranges::copy(path, address.sun_path);
  ::unlink(path.c_str());
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    throw_errno("bind");
  if (::listen(listener.get(), 64) != 0) throw_errno("listen");
  return listener;
}

std::string program_of(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/comm", pid));
  std::string name;
  std::getline(file, name);
  return name;
}

ChildProcess start(const std::vector<std::string>& words, const std::string& directory,
                   std::vector<std::pair<std::string, std::string>> environment, FdRef output) {
  return spawn({.program = karapace_program(),
                .arguments = words,
                .environment = std::move(environment),
                .fds = {{output, STDOUT_FILENO}, {output, STDERR_FILENO}},
                .working_directory = directory});
}

std::vector<std::pair<std::string, std::string>> with_lab(
    std::vector<std::pair<std::string, std::string>> environment, const std::string& socket) {
  environment.emplace_back("KARAPACE_FAULT", "lab:" + socket);
  return environment;
}

int live_trees = 0;

}  // namespace

bool reap_orphans() {
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  const timespec slice{0, kSlice * 1'000'000};
  for (int left = kPatience; left > 0;) {
    const pid_t pid = ::waitpid(-1, nullptr, WNOHANG);
    if (pid > 0 || (pid < 0 && errno == EINTR)) continue;
    // With another run beside this one it cannot be told whose children are left.
    if (pid < 0 || live_trees > 0) return true;
    if (::sigtimedwait(&child, nullptr, &slice) < 0 && errno == EAGAIN) --left;
  }
  return false;
}

std::optional<int> wait_patiently(ChildProcess& process) {
  pollfd end{process.pidfd().get(), POLLIN, 0};
  for (int left = kPatience; left > 0; --left) {
    if (::poll(&end, 1, kSlice) != 0) return process.wait();
  }
  return std::nullopt;
}

UniqueFd anonymous_file() {
  UniqueFd file(::memfd_create("output", MFD_CLOEXEC));
  if (!file) throw_errno("memfd_create");
  return file;
}

std::string content_of(FdRef file) {
  ::lseek(file.get(), 0, SEEK_SET);
  return read_all(file, kMaxOutput);
}

std::string karapace_program() {
  static const std::string path =
      std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "bin" / "karapace";
  return path;
}

std::string Fault::text() const {
  switch (kind) {
    case Kind::None:
      return "none";
    case Kind::Error:
      return strerrorname_np(error_number);
    case Kind::KillCaller:
      return "kill";
    case Kind::KillLeader:
      return "kill-leader";
    case Kind::KillAll:
      return "kill-all";
  }
  return "";
}

Fault Fault::parse(const std::string& text) {
  if (text == "none") return {};
  if (text == "kill") return {Kind::KillCaller, 0};
  if (text == "kill-leader") return {Kind::KillLeader, 0};
  if (text == "kill-all") return {Kind::KillAll, 0};
  for (int number = 1; number <= kMaxErrno; ++number) {
    const char* name = strerrorname_np(number);
    if (name != nullptr && text == name) return {Kind::Error, number};
  }
  throw Error(ErrorCode::InvalidInput, fmt::format("no fault is called '{}'", text));
}

const std::vector<int>& errnos_of(const std::string& operation) {
  static const std::map<std::string, std::vector<int>> kTable = {
      {"open", {EACCES, EDQUOT, EIO, EMFILE, ENFILE, ENOMEM, ENOSPC, EROFS}},
      {"write", {EDQUOT, EFBIG, EIO, ENOSPC}},
      {"fsync", {EDQUOT, EIO, ENOSPC}},
      {"syncfs", {EDQUOT, EIO, ENOSPC}},
      {"rename", {EACCES, EDQUOT, EIO, EMLINK, ENOMEM, ENOSPC, EROFS}},
      {"link", {EACCES, EDQUOT, EIO, EMLINK, ENOMEM, ENOSPC, EPERM, EROFS, EXDEV}},
      {"symlink", {EACCES, EDQUOT, EIO, ENOMEM, ENOSPC, EROFS}},
      {"mkdir", {EACCES, EDQUOT, EIO, EMLINK, ENOMEM, ENOSPC, EROFS}},
      {"mknod", {EACCES, EDQUOT, EIO, ENOMEM, ENOSPC, EPERM, EROFS}},
      {"unlink", {EACCES, EBUSY, EIO, ENOMEM, EROFS}},
      {"rmdir", {EACCES, EBUSY, EIO, ENOMEM, EROFS}},
      {"chmod", {EIO, ENOMEM, EPERM, EROFS}},
      {"chown", {EDQUOT, EIO, ENOMEM, EPERM, EROFS}},
      {"utime", {EACCES, EIO, EROFS}},
      {"setxattr", {EDQUOT, EIO, ENOSPC, ENOTSUP, EPERM, ERANGE}},
      {"removexattr", {EIO, ENOTSUP, EPERM}},
      {"truncate", {EFBIG, EIO, ENOSPC, EPERM}},
      {"ftruncate", {EFBIG, EIO, ENOSPC, EPERM}},
      {"close", {EDQUOT, EIO, ENOSPC}},
      {"flock", {ENOLCK}},
  };
  const auto found = kTable.find(operation);
  if (found == kTable.end())
    throw Error(ErrorCode::Internal, fmt::format("the lab knows no call '{}'", operation));
  return found->second;
}

void adopt_orphans() {
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) throw_errno("prctl");
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  ::pthread_sigmask(SIG_BLOCK, &child, nullptr);
}

ProcessTree::ProcessTree(const std::string& socket, const std::vector<std::string>& words,
                         const std::string& directory,
                         std::vector<std::pair<std::string, std::string>> environment)
    : socket_(socket),
      listener_(listen_at(socket)),
      out_(anonymous_file()),
      child_(start(words, directory, with_lab(std::move(environment), socket), out_)) {
  ++live_trees;
}

ProcessTree::~ProcessTree() {
  if (!ended_) kill_all();
  ::unlink(socket_.c_str());
}

std::string ProcessTree::output() const { return content_of(out_); }

void ProcessTree::accept_connection() {
  UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!fd) return;  // it died meanwhile
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) throw_errno("SO_PEERCRED");
  connections_.push_back({std::move(fd), peer.pid, program_of(peer.pid)});
}

/// Nothing if the process is gone.
std::optional<Step> ProcessTree::read_question(std::size_t index) {
  fault::LabQuestion question{};
  const ssize_t got = ::recv(connections_[index].fd.get(), &question, sizeof question, 0);
  if (got != sizeof question) {
    connections_.erase(connections_.begin() + static_cast<std::ptrdiff_t>(index));
    return std::nullopt;
  }
  asking_ = index;
  const Connection& from = connections_[index];
  return Step{++steps_, from.program, question.operation, question.inode, from.pid};
}

/// True if there is something to tell: a step, or the end.
bool ProcessTree::poll_once(std::optional<Step>& step) {
  // A negative descriptor is not looked at.
  std::vector<pollfd> fds = {{listener_.get(), POLLIN, 0}};
  for (const Connection& connection : connections_) fds.push_back({connection.fd.get(), POLLIN, 0});
  if (!ended_) fds.push_back({child_.pidfd().get(), POLLIN, 0});
  int ready = 0;
  for (int left = kPatience; ready == 0 && left > 0; --left) ready = ::poll(fds.data(), fds.size(), kSlice);
  if (ready < 0 && errno != EINTR) throw_errno("poll");
  if (ready == 0) {
    hung_ = true;
    kill_all();
    return true;
  }
  for (std::size_t i = 0; i < connections_.size(); ++i) {
    if (fds[i + 1].revents == 0) continue;
    step = read_question(i);
    return step.has_value();
  }
  if (fds[0].revents != 0) {
    accept_connection();
    return false;
  }
  if (!ended_ && fds.back().revents != 0) end();
  return false;
}

void ProcessTree::end() {
  status_ = child_.wait();
  ended_ = true;
  --live_trees;
  // From now on nobody of this run may begin to change anything.
  listener_.reset();
  ::unlink(socket_.c_str());
}

std::optional<Step> ProcessTree::next() {
  std::optional<Step> step;
  while (!ended_ || !connections_.empty()) {
    if (!poll_once(step)) continue;
    if (!step || !ended_) return step;
    // Helpers that outlive the leader go on until the kernel ends them.
    answer({});
    step.reset();
  }
  if (!reap_orphans()) hung_ = true;
  return std::nullopt;
}

void ProcessTree::answer(const Fault& fault) {
  if (fault.kind == Fault::Kind::KillAll) return kill_all();
  if (fault.kind == Fault::Kind::KillLeader) child_.signal(SIGKILL);
  fault::LabAnswer answer = 0;
  if (fault.kind == Fault::Kind::KillCaller) answer = fault::kLabKill;
  if (fault.kind == Fault::Kind::Error) answer = fault.error_number;
  const Connection& to = connections_.at(asking_);
  // Somebody who is gone needs no answer.
  [[maybe_unused]] const ssize_t sent = ::send(to.fd.get(), &answer, sizeof answer, MSG_NOSIGNAL);
}

void ProcessTree::kill_all() {
  if (!ended_) child_.signal(SIGKILL);
  for (const Connection& connection : connections_) ::kill(connection.pid, SIGKILL);
  if (!ended_) end();
  // A process is gone when its end of the connection is.
  for (const Connection& connection : connections_) {
    char byte = 0;
    while (::recv(connection.fd.get(), &byte, 1, 0) > 0) {
    }
  }
  connections_.clear();
  if (!reap_orphans()) hung_ = true;
}

}  // namespace karapace::lab
