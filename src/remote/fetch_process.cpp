// SPDX-License-Identifier: Apache-2.0
#include "fetch_process.hpp"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "karapace/base/error.hpp"
#include "karapace/base/fault.hpp"
#include "karapace/base/subprocess.hpp"

namespace karapace::remote {

namespace {

constexpr std::size_t kMaxLineBytes = std::size_t{256} * 1024;
constexpr std::size_t kReadBytes = std::size_t{16} * 1024;
constexpr std::size_t kStderrKept = std::size_t{16} * 1024;
constexpr std::chrono::seconds kGraceTime(3);

class Conversation {
 public:
  Conversation(ProgressSink& progress, CancelToken& cancel) : progress_(progress), cancel_(cancel) {}

  FetchOutcome run(const std::string& program, const protocol::Request& request, FdRef downloads,
                   FdRef packages) {
    Pipe out = make_pipe();
    Pipe err = make_pipe();
    const UniqueFd input = make_sealed_memfd("karapace-fetch", protocol::encode(request));
    ChildProcess child = spawn({.program = program,
                                .arguments = {},
                                .environment = fetch_environment(),
                                .fds = {{input, STDIN_FILENO},
                                        {out.write_end, STDOUT_FILENO},
                                        {err.write_end, STDERR_FILENO},
                                        {downloads, protocol::kDownloadsFd},
                                        {packages, protocol::kPackagesFd}},
                                .working_directory = "/"});
    out.write_end.reset();
    err.write_end.reset();
    out_ = std::move(out.read_end);
    err_ = std::move(err.read_end);
    while (out_ || err_) step(child);
    const int status = child.wait();
    cancel_.check();
    if (status != 0 || !result_) throw ProcessError(program, status, stderr_);
    return {.result = std::move(*result_), .verified = std::move(verified_)};
  }

 private:
  void step(ChildProcess& child) {
    std::array<pollfd, 3> fds{
        {{cancel_.poll_fd().get(), POLLIN, 0}, {out_.get(), POLLIN, 0}, {err_.get(), POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) throw_errno("poll");
    if (cancel_.requested()) {
      end(child);
      throw Cancelled(cancel_.signal_number());
    }
    if (fds[1].revents != 0) read_some(out_, lines_);
    take_lines();
    if (fds[2].revents != 0) read_some(err_, stderr_);
    if (stderr_.size() > 2 * kStderrKept) stderr_.erase(0, stderr_.size() - kStderrKept);
  }

  /// It leaves its part files as they are, so there is nothing to wait for but its end.
  static void end(ChildProcess& child) {
    child.signal(SIGTERM);
    pollfd ended{child.pidfd().get(), POLLIN, 0};
    const auto until = std::chrono::steady_clock::now() + kGraceTime;
    while (true) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
      if (left.count() <= 0 || ::poll(&ended, 1, static_cast<int>(left.count())) > 0) break;
    }
    child.signal(SIGKILL);
    child.wait();
  }

  static void read_some(UniqueFd& from, std::string& to) {
    std::array<char, kReadBytes> buffer{};
    const ssize_t count = ::read(from.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) return;
    if (count < 0) throw_errno("read from karapace-fetch");
    if (count == 0) return from.reset();
    to.append(buffer.data(), static_cast<std::size_t>(count));
  }

  void take_lines() {
    std::size_t start = 0;
    for (auto end = lines_.find('\n'); end != std::string::npos; end = lines_.find('\n', start)) {
      take(protocol::parse_message(std::string_view(lines_).substr(start, end - start)));
      start = end + 1;
    }
    lines_.erase(0, start);
    if (lines_.size() > kMaxLineBytes)
      throw Error(ErrorCode::Internal, "karapace-fetch sends an endless line");
  }

  void take(protocol::Message message) {
    if (auto* progress = std::get_if<protocol::Progress>(&message)) {
      progress_.advance(progress->bytes, progress->total, "bytes");
    } else if (auto* note = std::get_if<protocol::Note>(&message)) {
      progress_.note(note->text);
    } else if (auto* verified = std::get_if<protocol::Verified>(&message)) {
      verified_.push_back(std::move(verified->sha256));
    } else if (auto* result = std::get_if<protocol::Result>(&message)) {
      result_ = std::move(*result);
    }
  }

  ProgressSink& progress_;
  CancelToken& cancel_;
  UniqueFd out_;
  UniqueFd err_;
  std::string lines_;
  std::string stderr_;
  std::vector<std::string> verified_;
  std::optional<protocol::Result> result_;
};

}  // namespace

std::vector<std::pair<std::string, std::string>> fetch_environment() {
  auto variables = host_tool_environment();
  for (auto& variable : fault::environment()) variables.push_back(std::move(variable));
  for (const char* name : {"SSL_CERT_FILE", "SSL_CERT_DIR"}) {
    const char* value = std::getenv(name);
    if (value != nullptr) variables.emplace_back(name, value);
  }
  return variables;
}

FetchOutcome run_fetch_program(const std::string& program, const protocol::Request& request, FdRef downloads,
                               FdRef packages, ProgressSink& progress, CancelToken& cancel) {
  return Conversation(progress, cancel).run(program, request, downloads, packages);
}

}  // namespace karapace::remote
