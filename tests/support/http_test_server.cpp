// SPDX-License-Identifier: Apache-2.0
#include "http_test_server.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <utility>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"

namespace karapace::test {

using Kind = HttpFault::Kind;

/// What is at a path: a string, or an open file.
struct HttpTestServer::Answer {
  std::shared_ptr<const std::string> text;
  UniqueFd file;
  std::uint64_t size = 0;

  /// Up to `length` bytes from `offset` on; empty at the end.
  [[nodiscard]] std::string read(std::uint64_t offset, std::size_t length) const {
    if (offset >= size) return {};
    length = static_cast<std::size_t>(std::min<std::uint64_t>(length, size - offset));
    if (text) return text->substr(static_cast<std::size_t>(offset), length);
    std::string bytes(length, '\0');
    const ssize_t count = ::pread(file.get(), bytes.data(), length, static_cast<off_t>(offset));
    if (count < 0) throw_errno("read a served file");
    bytes.resize(static_cast<std::size_t>(count));
    return bytes;
  }
};

namespace {

constexpr std::size_t kMaxHeadBytes = std::size_t{64} * 1024;
constexpr std::size_t kPieceBytes = std::size_t{256} * 1024;

constexpr std::array<std::pair<std::string_view, Kind>, 12> kFaultNames{{
    {"not-found", Kind::NotFound},
    {"unavailable", Kind::Unavailable},
    {"too-many-requests", Kind::TooManyRequests},
    {"ignore-range", Kind::IgnoreRange},
    {"wrong-range", Kind::WrongRange},
    {"wrong-bytes", Kind::WrongBytes},
    {"short-bytes", Kind::ShortBytes},
    {"endless-bytes", Kind::EndlessBytes},
    {"drop-midway", Kind::DropMidway},
    {"drop-at-once", Kind::DropAtOnce},
    {"redirect", Kind::Redirect},
    {"stall-midway", Kind::StallMidway},
}};

bool send_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return result;
}

/// Reads up to the empty line. Keeps what follows in `buffer`. Nothing at the end of the connection.
std::optional<HttpRequest> read_request(int socket, std::string& buffer) {
  std::size_t end = std::string::npos;
  while ((end = buffer.find("\r\n\r\n")) == std::string::npos) {
    std::array<char, 4096> piece{};
    const ssize_t count = ::recv(socket, piece.data(), piece.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0 || buffer.size() > kMaxHeadBytes) return std::nullopt;
    buffer.append(piece.data(), static_cast<std::size_t>(count));
  }
  const std::string head = std::exchange(buffer, buffer.substr(end + 4)).substr(0, end + 2);
  HttpRequest request;
  std::string_view rest = head;
  const auto next_line = [&rest] {
    const auto eol = rest.find("\r\n");
    const std::string_view line = rest.substr(0, eol);
    rest.remove_prefix(eol + 2);
    return line;
  };
  const std::string_view first = next_line();
  const auto space = first.find(' ');
  const auto second_space = first.rfind(' ');
  if (space == std::string_view::npos || second_space <= space) return std::nullopt;
  request.method = first.substr(0, space);
  request.target = first.substr(space + 1, second_space - space - 1);
  while (!rest.empty()) {
    const std::string_view line = next_line();
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const auto value = line.find_first_not_of(' ', colon + 1);
    request.headers[lower(line.substr(0, colon))] =
        value == std::string_view::npos ? std::string() : std::string(line.substr(value));
  }
  const auto length = request.headers.find("content-length");
  const std::size_t wanted = length == request.headers.end() ? 0 : std::stoul(length->second);
  while (buffer.size() < wanted) {
    std::array<char, 4096> piece{};
    const ssize_t count = ::recv(socket, piece.data(), piece.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0 || buffer.size() > kMaxHeadBytes) return std::nullopt;
    buffer.append(piece.data(), static_cast<std::size_t>(count));
  }
  request.body = std::exchange(buffer, buffer.substr(wanted)).substr(0, wanted);
  return request;
}

/// "/a%2bb?x" and, when we are asked as a proxy, "http://host/a%2bb" are both "/a+b".
std::string path_of(std::string_view target) {
  if (const auto scheme = target.find("://"); scheme != std::string_view::npos && !target.starts_with('/')) {
    const auto slash = target.find('/', scheme + 3);
    target = slash == std::string_view::npos ? "/" : target.substr(slash);
  }
  target = target.substr(0, target.find_first_of("?#"));
  std::string path;
  for (std::size_t i = 0; i < target.size(); ++i) {
    unsigned value = 0;
    if (target[i] == '%' && i + 2 < target.size()) {
      const char* digits = target.data() + i + 1;
      if (std::from_chars(digits, digits + 2, value, 16).ptr == digits + 2) {
        path += static_cast<char>(value);
        i += 2;
        continue;
      }
    }
    path += target[i];
  }
  return path;
}

/// Of "bytes=N-" or "bytes=N-M" (the end is not respected: all our clients ask to the end). 0 without a
/// range.
std::uint64_t first_byte_of_range(const HttpRequest& request) {
  const auto range = request.headers.find("range");
  constexpr std::string_view kUnit = "bytes=";
  if (range == request.headers.end() || request.headers.contains("if-range") ||
      !range->second.starts_with(kUnit))
    return 0;
  std::uint64_t first = 0;
  std::from_chars(range->second.data() + kUnit.size(), range->second.data() + range->second.size(), first);
  return first;
}

std::string head(std::string_view status, std::uint64_t length, std::string_view more = {}) {
  return fmt::format("HTTP/1.1 {}\r\nContent-Length: {}\r\n{}\r\n", status, length, more);
}

bool send_error(int socket, std::string_view status, std::string_view more = {}) {
  return send_all(socket, head(status, status.size(), more) + std::string(status));
}

/// The answers that have no content. Nothing if `fault` is none of them; else whether to keep the connection.
std::optional<bool> answer_fault(int socket, const HttpFault& fault) {
  const std::string retry_after =
      fault.retry_after ? fmt::format("Retry-After: {}\r\n", *fault.retry_after) : "";
  switch (fault.kind) {
    case Kind::NotFound:
      return send_error(socket, "404 Not Found");
    case Kind::Unavailable:
      return send_error(socket, "503 Service Unavailable", retry_after);
    case Kind::TooManyRequests:
      return send_error(socket, "429 Too Many Requests", retry_after);
    case Kind::Redirect:
      return send_error(socket, "302 Found", fmt::format("Location: {}\r\n", fault.location));
    case Kind::DropAtOnce:
      return false;
    default:
      return std::nullopt;
  }
}

bool send_endless(int socket) {
  if (!send_all(socket, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")) return false;
  const std::string piece = "10000\r\n" + std::string(0x10000, 'x') + "\r\n";
  while (send_all(socket, piece)) {
  }
  return false;
}

}  // namespace

std::optional<Kind> parse_http_fault(std::string_view name) {
  for (const auto& [word, kind] : kFaultNames) {
    if (word == name) return kind;
  }
  return std::nullopt;
}

void Gate::pass() {
  std::unique_lock lock(mutex_);
  ++arrived_;
  changed_.notify_all();
  changed_.wait(lock, [this] { return open_; });
}

bool Gate::wait_for_arrival(std::size_t count) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, [&] { return arrived_ >= count; });
}

void Gate::open() {
  const std::lock_guard lock(mutex_);
  open_ = true;
  changed_.notify_all();
}

HttpTestServer::HttpTestServer() {
  listener_ = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ended_ = UniqueFd(::eventfd(0, EFD_CLOEXEC));
  if (!listener_ || !ended_) throw_errno("socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener_.get(), generic, length) != 0 || ::listen(listener_.get(), 64) != 0 ||
      ::getsockname(listener_.get(), generic, &length) != 0)
    throw_errno("listen on loopback");
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this]() noexcept { accept_all(); });
}

HttpTestServer::~HttpTestServer() { stop(); }

void HttpTestServer::stop() {
  if (!acceptor_.joinable()) return;
  std::list<Connection> open;
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    for (const auto& [path, gate] : gates_) gate->open();
    for (const Connection& connection : open_) ::shutdown(connection.socket.get(), SHUT_RDWR);
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(ended_.get(), &one, sizeof one);
  acceptor_.join();
  {
    const std::lock_guard lock(mutex_);
    open = std::move(open_);
  }
  for (Connection& connection : open) connection.thread.join();
}

std::string HttpTestServer::url(std::string_view path) const {
  return fmt::format("http://127.0.0.1:{}{}", port_, path);
}

void HttpTestServer::add(const std::string& path, std::string content) {
  const std::lock_guard lock(mutex_);
  contents_[path] = std::make_shared<const std::string>(std::move(content));
}

void HttpTestServer::serve_directory(const std::string& directory) {
  UniqueFd fd = open_path(directory, O_PATH | O_DIRECTORY);
  const std::lock_guard lock(mutex_);
  directory_ = std::move(fd);
}

void HttpTestServer::set_fault(const std::string& pattern, HttpFault fault) {
  const std::lock_guard lock(mutex_);
  faults_.insert(faults_.begin(), PatternFault{pattern, std::move(fault)});
}

void HttpTestServer::set_handler(Handler handler) {
  const std::lock_guard lock(mutex_);
  handler_ = std::move(handler);
}

std::shared_ptr<Gate> HttpTestServer::add_gate(const std::string& path) {
  const std::lock_guard lock(mutex_);
  return gates_[path] = std::make_shared<Gate>();
}

std::vector<HttpRequest> HttpTestServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

std::size_t HttpTestServer::request_count(std::string_view path) const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(std::ranges::count_if(
      requests_, [&](const HttpRequest& request) { return path_of(request.target) == path; }));
}

void HttpTestServer::accept_all() noexcept {
  while (true) {
    std::array<pollfd, 2> fds{{{listener_.get(), POLLIN, 0}, {ended_.get(), POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) return;
    if (fds[1].revents != 0) return;
    if (fds[0].revents == 0) continue;
    UniqueFd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket) continue;
    const int on = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ++connections_;
    const std::lock_guard lock(mutex_);
    if (ending_) return;
    forget_ended();
    Connection& connection = open_.emplace_back(Connection{.socket = std::move(socket), .thread = {}});
    connection.thread = std::thread([this, &connection]() noexcept { serve(connection); });
  }
}

void HttpTestServer::forget_ended() {
  std::erase_if(open_, [](Connection& connection) {
    if (connection.ended) connection.thread.join();
    return connection.ended;
  });
}

void HttpTestServer::serve(Connection& connection) noexcept {
  const int socket = connection.socket.get();
  try {
    std::string buffer;
    while (const auto request = read_request(socket, buffer)) {
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(*request);
      }
      if (!answer(socket, *request)) break;
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "test server: {}\n", error.what());
  }
  ::shutdown(socket, SHUT_RDWR);
  const std::lock_guard lock(mutex_);
  connection.ended = true;
}

HttpFault HttpTestServer::take_fault(const std::string& path) {
  const std::lock_guard lock(mutex_);
  for (PatternFault& candidate : faults_) {
    if (candidate.fault.times == 0 || path.find(candidate.pattern) == std::string::npos) continue;
    if (candidate.fault.times != SIZE_MAX) --candidate.fault.times;
    return candidate.fault;
  }
  return {};
}

std::optional<HttpTestServer::Answer> HttpTestServer::find_content(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  if (const auto found = contents_.find(path); found != contents_.end()) {
    const std::uint64_t size = found->second->size();
    return Answer{.text = found->second, .file = {}, .size = size};
  }
  if (!directory_ || path.find('\0') != std::string::npos) return std::nullopt;
  // Mirrors have symlinks; open_in_root keeps them inside.
  auto file = try_open_in_root(directory_, path, O_RDONLY | O_NONBLOCK);
  if (!file) return std::nullopt;
  const struct stat info = stat_fd(*file);
  if (!S_ISREG(info.st_mode)) return std::nullopt;
  return Answer{.text = nullptr, .file = std::move(*file), .size = static_cast<std::uint64_t>(info.st_size)};
}

/// False: close the connection.
bool HttpTestServer::answer(int socket, const HttpRequest& request) {
  const std::string path = path_of(request.target);
  const HttpFault fault = take_fault(path);
  if (const auto answered = answer_fault(socket, fault)) return *answered;
  Handler handler;
  {
    const std::lock_guard lock(mutex_);
    handler = handler_;
  }
  if (handler) {
    if (const auto reply = handler(request))
      return send_all(socket, head(reply->status, reply->body.size(), reply->headers)) &&
             send_all(socket, reply->body);
  }
  if (request.method != "GET" && request.method != "HEAD")
    return send_error(socket, "405 Method Not Allowed");
  const auto content = find_content(path);
  if (!content) return send_error(socket, "404 Not Found");
  if (fault.kind == Kind::EndlessBytes) return send_endless(socket);

  std::uint64_t first = fault.kind == Kind::IgnoreRange ? 0 : first_byte_of_range(request);
  if (first > 0 && first >= content->size)
    return send_error(socket, "416 Range Not Satisfiable",
                      fmt::format("Content-Range: bytes */{}\r\n", content->size));
  std::string top;
  if (first > 0) {
    if (fault.kind == Kind::WrongRange) --first;
    const auto range =
        fmt::format("Content-Range: bytes {}-{}/{}\r\n", first, content->size - 1, content->size);
    top = head("206 Partial Content", content->size - first, range);
  } else {
    top =
        head("200 OK", content->size - (fault.kind == Kind::ShortBytes ? 1 : 0), "Accept-Ranges: bytes\r\n");
  }
  if (!send_all(socket, top)) return false;
  if (request.method == "HEAD") return true;
  std::shared_ptr<Gate> gate;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = gates_.find(path); found != gates_.end()) gate = found->second;
  }
  return send_body(socket, *content, first, fault, gate.get());
}

bool HttpTestServer::send_body(int socket, const Answer& body, std::uint64_t first, const HttpFault& fault,
                               Gate* gate) {
  const std::uint64_t end = body.size - (fault.kind == Kind::ShortBytes ? 1 : 0);
  const std::uint64_t half = first + (end - first) / 2;
  bool before_half = true;
  for (std::uint64_t at = first; at < end;) {
    const std::uint64_t limit = before_half ? half : end;
    std::string piece =
        body.read(at, static_cast<std::size_t>(std::min<std::uint64_t>(kPieceBytes, limit - at)));
    at += piece.size();
    if (fault.kind == Kind::WrongBytes && at == end && !piece.empty())
      piece.back() = static_cast<char>(piece.back() ^ 1);
    if (!send_all(socket, piece)) return false;
    if (at < half || !before_half) continue;
    before_half = false;
    if (fault.kind == Kind::DropMidway) return false;
    if (gate != nullptr) gate->pass();
    if (fault.kind == Kind::StallMidway) {
      pollfd ended{ended_.get(), POLLIN, 0};
      ::poll(&ended, 1, -1);
      return false;
    }
  }
  return true;
}

}  // namespace karapace::test
