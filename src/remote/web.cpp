// SPDX-License-Identifier: Apache-2.0
#include "karapace/remote/web.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include "fetch_checks.hpp"
#include "fetch_process.hpp"
#include "fetch_protocol.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/subprocess.hpp"

namespace karapace::remote {

namespace {

constexpr std::size_t kMaxLineBytes = std::size_t{256} * 1024;
constexpr std::size_t kReadBytes = std::size_t{64} * 1024;
constexpr std::size_t kStderrKept = std::size_t{16} * 1024;

}  // namespace

/// A running karapace-fetch --ask.
class Web::Process {
 public:
  Process(const std::string& program, const FetchOptions& options, CancelToken& cancel)
      : program_(program), cancel_(cancel), child_(start(program)) {
    send_line(protocol::encode(options));
  }

  WebReply ask(const WebRequest& request) {
    send_line(protocol::encode(request));
    while (buffer_.find('\n') == std::string::npos) {
      if (buffer_.size() > kMaxLineBytes)
        throw Error(ErrorCode::Internal, "karapace-fetch sends an endless line");
      read_more();
    }
    const auto end = buffer_.find('\n');
    auto answer = protocol::parse_answer(std::string_view(buffer_).substr(0, end));
    buffer_.erase(0, end + 1);
    if (answer.body_bytes > request.max_bytes)
      throw Error(ErrorCode::Internal, "karapace-fetch sends more than was asked for");
    while (buffer_.size() < answer.body_bytes) read_more();
    answer.reply.body = buffer_.substr(0, answer.body_bytes);
    buffer_.erase(0, answer.body_bytes);
    if (answer.failure) {
      throw Error(answer.failure->code, std::move(answer.failure->message), std::move(answer.failure->fix));
    }
    return std::move(answer.reply);
  }

 private:
  ChildProcess start(const std::string& program) {
    // A socket, because writing to one whose other side has ended need not raise SIGPIPE.
    std::array<int, 2> pair{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) throw_errno("socketpair");
    UniqueFd ours(pair[0]);
    const UniqueFd theirs(pair[1]);
    Pipe out = make_pipe();
    Pipe err = make_pipe();
    ChildProcess child = spawn(
        {.program = program,
         .arguments = {protocol::kAskArgument},
         .environment = fetch_environment(),
         .fds = {{theirs, STDIN_FILENO}, {out.write_end, STDOUT_FILENO}, {err.write_end, STDERR_FILENO}},
         .working_directory = "/"});
    in_ = std::move(ours);
    out_ = std::move(out.read_end);
    err_ = std::move(err.read_end);
    return child;
  }

  /// The other side reads a request before it answers, so this cannot block for ever.
  void send_line(std::string_view line) {
    while (!line.empty()) {
      const ssize_t count = ::send(in_.get(), line.data(), line.size(), MSG_NOSIGNAL);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) throw ProcessError(program_, child_.wait(), stderr_);
      line.remove_prefix(static_cast<std::size_t>(count));
    }
  }

  void read_more() {
    std::array<pollfd, 3> fds{
        {{cancel_.poll_fd().get(), POLLIN, 0}, {out_.get(), POLLIN, 0}, {err_.get(), POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) throw_errno("poll");
    cancel_.check();
    if (fds[2].revents != 0) read_into(err_, stderr_);
    if (stderr_.size() > 2 * kStderrKept) stderr_.erase(0, stderr_.size() - kStderrKept);
    if (fds[1].revents != 0) read_into(out_, buffer_);
    if (!out_) throw ProcessError(program_, child_.wait(), stderr_);
  }

  static void read_into(UniqueFd& from, std::string& to) {
    std::string bytes(kReadBytes, '\0');
    const ssize_t count = ::read(from.get(), bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) return;
    if (count < 0) throw_errno("read from karapace-fetch");
    if (count == 0) return from.reset();
    to.append(bytes, 0, static_cast<std::size_t>(count));
  }

  std::string program_;
  CancelToken& cancel_;
  UniqueFd in_;
  UniqueFd out_;
  UniqueFd err_;
  std::string buffer_;
  std::string stderr_;
  ChildProcess child_;  // ended by its destructor, before the pipes: an open question is nobody's any more
};

Web::Web(std::string fetch_program, const FetchOptions& options, CancelToken& cancel)
    : program_(std::move(fetch_program)), options_(bounded(options)), cancel_(cancel) {}

Web::~Web() = default;

WebReply Web::ask(const WebRequest& request) {
  cancel_.check();
  const auto refuse = [&](const char* what) {
    throw Error(ErrorCode::InvalidInput, std::string("cannot ask a server: ") + what);
  };
  if (!is_web_address(request.url) || request.url.size() > kMaxUrlBytes) refuse("not a usable address");
  if (!is_header_value(request.accept) || !is_header_value(request.authorization))
    refuse("not a usable header");
  if (request.form.size() > kMaxHeaderValueBytes) refuse("too much to say");
  if (!process_) process_ = std::make_unique<Process>(program_, options_, cancel_);
  try {
    return process_->ask(request);
  } catch (const Cancelled&) {
    process_.reset();
    throw;
  } catch (const ProcessError&) {
    process_.reset();
    throw;
  }
}

}  // namespace karapace::remote
