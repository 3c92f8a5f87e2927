// SPDX-License-Identifier: Apache-2.0
// A small HTTP/1.1 server on loopback for tests: serves strings or a directory, and misbehaves as told.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "karapace/base/unique_fd.hpp"

namespace karapace::test {

/// Where a test and the server meet, instead of sleeping: the server stops there until the test lets it go
/// on.
class Gate {
 public:
  /// Called by the server. Returns at once when the gate is open.
  void pass();
  /// Called by the test: waits until `count` calls of pass() have begun. False after `kPatience`.
  [[nodiscard]] bool wait_for_arrival(std::size_t count = 1);
  void open();

  static constexpr std::chrono::seconds kPatience{30};

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t arrived_ = 0;
  bool open_ = false;
};

struct HttpFault {
  enum class Kind {
    None,
    NotFound,         // 404
    Unavailable,      // 503; `retry_after` if given
    TooManyRequests,  // 429; `retry_after` if given
    IgnoreRange,      // 200 with everything, also when a range was asked for
    WrongRange,       // 206, but of another range than asked for
    WrongBytes,       // right length, the last byte is another one
    ShortBytes,       // one byte less, with a Content-Length that fits
    EndlessBytes,     // chunked, without an end
    DropMidway,       // right Content-Length, connection closed after half of the bytes
    DropAtOnce,       // connection closed without an answer
    Redirect,         // 302 to `location`
    StallMidway,      // half of the bytes, then nothing until the server ends
  };
  Kind kind = Kind::None;
  /// How many requests get it; then the server behaves.
  std::size_t times = SIZE_MAX;
  std::string location{};
  std::optional<unsigned> retry_after{};
};
/// "not-found", "wrong-bytes", ...: the kinds as words. Nothing if there is none of that name.
[[nodiscard]] std::optional<HttpFault::Kind> parse_http_fault(std::string_view name);

struct HttpRequest {
  std::string method;
  std::string target;                          // as it was sent
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body{};
};

/// What a handler says instead of the server.
struct HttpReply {
  std::string status = "200 OK";
  std::string headers{};  // lines that end with "\r\n"
  std::string body{};
};

/// Listens from construction to stop(). A thread per connection; all methods may be called while it
/// serves.
class HttpTestServer {
 public:
  HttpTestServer();
  ~HttpTestServer();
  HttpTestServer(const HttpTestServer&) = delete;
  HttpTestServer& operator=(const HttpTestServer&) = delete;

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  /// "http://127.0.0.1:<port>" + path.
  [[nodiscard]] std::string url(std::string_view path) const;

  /// Serves `content` at `path`, which begins with '/'.
  void add(const std::string& path, std::string content);
  /// Serves the files below `directory` for all paths that add() does not know.
  void serve_directory(const std::string& directory);

  /// For requests whose path contains `pattern`; the last one set wins.
  void set_fault(const std::string& pattern, HttpFault fault);
  /// Half of the body of `path` is sent, then the gate is passed, then the rest is sent.
  [[nodiscard]] std::shared_ptr<Gate> add_gate(const std::string& path);

  /// Asked first, by several threads at once; nothing: the server answers as usual.
  using Handler = std::function<std::optional<HttpReply>(const HttpRequest&)>;
  void set_handler(Handler handler);
  /// Ends every connection and answers nothing any more. Called before what a handler uses ceases to be.
  void stop();

  [[nodiscard]] std::vector<HttpRequest> requests() const;
  [[nodiscard]] std::size_t request_count(std::string_view path) const;
  /// Connections that were accepted so far.
  [[nodiscard]] std::size_t connection_count() const noexcept { return connections_; }

 private:
  struct Connection {
    UniqueFd socket;
    std::thread thread;
    bool ended = false;  // the thread is about to return and uses nothing any more
  };
  struct PatternFault {
    std::string pattern;
    HttpFault fault;
  };
  struct Answer;

  void accept_all() noexcept;
  void serve(Connection& connection) noexcept;
  void forget_ended();  // with the lock held
  bool answer(int socket, const HttpRequest& request);
  [[nodiscard]] HttpFault take_fault(const std::string& path);
  [[nodiscard]] std::optional<Answer> find_content(const std::string& path) const;
  bool send_body(int socket, const Answer& body, std::uint64_t first, const HttpFault& fault, Gate* gate);

  UniqueFd listener_;
  UniqueFd ended_;  // eventfd: readable once the server ends
  std::uint16_t port_ = 0;
  std::atomic<std::size_t> connections_ = 0;

  mutable std::mutex mutex_;  // protects what follows
  std::map<std::string, std::shared_ptr<const std::string>> contents_;
  std::vector<PatternFault> faults_;
  Handler handler_;
  std::map<std::string, std::shared_ptr<Gate>> gates_;
  std::vector<HttpRequest> requests_;
  UniqueFd directory_;
  std::list<Connection> open_;
  bool ending_ = false;

  std::thread acceptor_;
};

}  // namespace karapace::test
