// SPDX-License-Identifier: Apache-2.0
// Downloads against servers and disks that misbehave, and requests that nobody should make.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <functional>

#include "fetch_fixture.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/subprocess.hpp"
#include "karapace/base/unique_fd.hpp"

namespace karapace::remote {

namespace {

using test::HttpFault;
using Kind = HttpFault::Kind;

constexpr std::size_t kMiB = std::size_t{1024} * 1024;

testing::AssertionResult contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return testing::AssertionSuccess() << part << " is in: " << text;
  return testing::AssertionFailure() << part << " is not in: " << text;
}

TEST_F(FetchTest, WrongBytesAreAnErrorThatNamesPackageUrlAndBothDigests) {
  const std::string content = some_bytes(kMiB);
  const Download file = serve("/git.deb", content);
  server_.set_fault("/git.deb", {.kind = Kind::WrongBytes});
  std::string wrong = content;
  wrong.back() = static_cast<char>(wrong.back() ^ 1);
  const Error error = fetch_error({file});
  EXPECT_TRUE(contains(error.message(), "package git.deb"));
  EXPECT_TRUE(contains(error.message(), file.url));
  EXPECT_TRUE(contains(error.message(), "expected " + file.sha256));
  EXPECT_TRUE(contains(error.message(), "got " + sha256_of(wrong)));
  EXPECT_TRUE(contains(error.fix(), "--update"));
  EXPECT_FALSE(has_part(file));
  EXPECT_EQ(stored(file), "(missing)");
}

TEST_F(FetchTest, WrongBytesAreFetchedOnceMorePastAllCaches) {
  const std::string content = some_bytes(kMiB);
  const Download file = serve("/one", content);
  server_.set_fault("/one", {.kind = Kind::WrongBytes, .times = 1});
  EXPECT_EQ(fetch({file}).fetched, 1U);
  EXPECT_EQ(stored(file), content);
  const auto requests = server_.requests();
  ASSERT_EQ(requests.size(), 2U);
  EXPECT_FALSE(requests[0].headers.contains("cache-control"));
  EXPECT_EQ(requests[1].headers.at("cache-control"), "no-cache");
}

TEST_F(FetchTest, ShorterFileThanDeclaredIsRefused) {
  const Download file = serve("/one", some_bytes(1000));
  server_.set_fault("/one", {.kind = Kind::ShortBytes});
  EXPECT_TRUE(contains(fetch_error({file}).message(), "the server has 999 bytes, expected 1000"));
  EXPECT_FALSE(has_part(file));
}

TEST_F(FetchTest, LongerFileThanDeclaredIsRefusedBeforeItsFirstByte) {
  Download file = serve("/one", some_bytes(kMiB));
  file.size = 1000;
  EXPECT_TRUE(contains(fetch_error({file}).message(), fmt::format("{} bytes, expected 1000", kMiB)));
  EXPECT_EQ(progress_.last_bytes(), 0U);
}

TEST_F(FetchTest, EndlessBytesAreCutAtTheDeclaredSize) {
  const Download file = serve("/one", some_bytes(kMiB));
  server_.set_fault("/one", {.kind = Kind::EndlessBytes});
  EXPECT_TRUE(contains(fetch_error({file}).message(), fmt::format("more than the {} bytes expected", kMiB)));
  EXPECT_LE(progress_.last_bytes(), kMiB);
  EXPECT_FALSE(has_part(file));
}

TEST_F(FetchTest, MissingFileIsFinalAndNamesPackageAndUrl) {
  const Download file = serve("/one.deb", "one");
  server_.set_fault("/one.deb", {.kind = Kind::NotFound});
  const Error error = fetch_error({file});
  EXPECT_TRUE(contains(error.message(), "package one.deb"));
  EXPECT_TRUE(contains(error.message(), file.url));
  EXPECT_TRUE(contains(error.message(), "404"));
  EXPECT_EQ(server_.requests().size(), 1U);
  EXPECT_FALSE(has_part(file));
}

TEST_F(FetchTest, OtherFailuresAreCounted) {
  std::vector<Download> files;
  options_.grace_after_failure = std::chrono::seconds(30);  // the machine may be slow
  for (unsigned i = 0; i < 3; ++i) files.push_back(serve(fmt::format("/{}", i), some_bytes(10, i)));
  server_.set_fault("/", {.kind = Kind::NotFound});
  EXPECT_TRUE(contains(fetch_error(files).message(), "(2 other downloads failed, too)"));
}

TEST_F(FetchTest, FilesThatWereCompleteBeforeAFailureStayInTheStore) {
  const Download good = serve("/good", some_bytes(kMiB));
  const Download bad = serve("/bad", "bad");
  server_.set_fault("/bad", {.kind = Kind::NotFound});
  options_.parallel = 1;
  fetch_error({good, bad});
  EXPECT_NE(stored(good), "(missing)");
}

TEST_F(FetchTest, PasswordsInUrlsAreNotShown) {
  Download file = serve("/one", "one");
  file.url.insert(std::string("http://").size(), "me:secret@");
  server_.set_fault("/one", {.kind = Kind::NotFound});
  EXPECT_FALSE(contains(fetch_error({file}).message(), "secret"));
}

TEST_F(FetchTest, BusyServerIsAskedAgain) {
  const Download one = serve("/one", "one");
  const Download two = serve("/two", "two");
  server_.set_fault("/one", {.kind = Kind::Unavailable, .times = 2});
  // An hour; max_retry_delay says less.
  server_.set_fault("/two", {.kind = Kind::TooManyRequests, .times = 2, .retry_after = 3600});
  EXPECT_EQ(fetch({one, two}).fetched, 2U);
  EXPECT_EQ(server_.request_count("/one"), 3U);
  EXPECT_EQ(server_.request_count("/two"), 3U);
}

TEST_F(FetchTest, BusyServerIsGivenUpAfterTheRetries) {
  const Download file = serve("/one", "one");
  server_.set_fault("/one", {.kind = Kind::Unavailable});
  EXPECT_TRUE(contains(fetch_error({file}, ErrorCode::Unavailable).message(), "503"));
  EXPECT_EQ(server_.requests().size(), options_.retries + 1);
}

TEST_F(FetchTest, DroppedConnectionIsContinuedWhereItBroke) {
  const std::string content = some_bytes(kMiB);
  const Download file = serve("/one", content);
  server_.set_fault("/one", {.kind = Kind::DropMidway, .times = 2});
  EXPECT_EQ(fetch({file}).bytes, content.size());
  EXPECT_EQ(stored(file), content);
  EXPECT_EQ(ranges(), (std::vector<std::string>{"", fmt::format("bytes={}-", kMiB / 2),
                                                fmt::format("bytes={}-", kMiB * 3 / 4)}));
}

TEST_F(FetchTest, ConnectionThatKeepsBreakingIsGivenUpAndItsPartKept) {
  const Download file = serve("/one", some_bytes(64 * 1024));
  server_.set_fault("/one", {.kind = Kind::DropMidway});
  fetch_error({file}, ErrorCode::Unavailable);
  EXPECT_EQ(server_.requests().size(), options_.retries + 1);
  EXPECT_GT(part_size(file), 32U * 1024);
}

TEST_F(FetchTest, ServerThatHangsUpIsAnErrorNotAnEndlessLoop) {
  const Download file = serve("/one", "one");
  server_.set_fault("/one", {.kind = Kind::DropAtOnce});
  fetch_error({file}, ErrorCode::Unavailable);
  EXPECT_FALSE(has_part(file));
}

TEST_F(FetchTest, RefusedConnectionIsAnError) {
  Download file = serve("/one", "one");
  {
    const test::HttpTestServer gone;
    file.url = gone.url("/one");
  }
  EXPECT_TRUE(contains(fetch_error({file}, ErrorCode::Unavailable).fix(), "network"));
}

TEST_F(FetchTest, SilentServerIsGivenUp) {
  const Download file = serve("/one", some_bytes(1000));
  server_.set_fault("/one", {.kind = Kind::StallMidway});
  options_.stall_timeout = std::chrono::milliseconds(300);
  options_.retries = 0;
  EXPECT_TRUE(contains(fetch_error({file}, ErrorCode::Unavailable).message(), "no bytes for 1 s"));
}

TEST_F(FetchTest, ServerThatIsTooSlowToEverEndIsGivenUpAndTheFileNamed) {
  const Download file = serve("/one", some_bytes(100));
  server_.set_fault("/one", {.kind = Kind::StallMidway});  // 50 bytes in all of the time
  options_.slow_timeout = std::chrono::milliseconds(300);
  const Error error = fetch_error({file}, ErrorCode::Unavailable);
  EXPECT_TRUE(contains(error.message(), "less than 1024 bytes per second"));
  EXPECT_TRUE(contains(error.message(), "/one"));
}

TEST_F(FetchTest, RedirectToAnotherServerIsFollowed) {
  const Download file = serve("/one", "one");
  test::HttpTestServer front;
  front.set_fault("/one", {.kind = Kind::Redirect, .location = file.url});
  Download moved = file;
  moved.url = front.url("/one");
  EXPECT_EQ(fetch({moved}).fetched, 1U);
  EXPECT_EQ(stored(file), "one");
}

TEST_F(FetchTest, RedirectToAnotherSchemeIsRefused) {
  const Download file = serve("/one", "one");
  for (const char* location : {"file:///etc/passwd", "ftp://127.0.0.1/one", "gopher://127.0.0.1/one"}) {
    server_.set_fault("/one", {.kind = Kind::Redirect, .location = location});
    EXPECT_TRUE(contains(fetch_error({file}).message(), "refused"));
    EXPECT_EQ(stored(file), "(missing)");
  }
}

TEST_F(FetchTest, RedirectsInACircleEnd) {
  const Download file = serve("/one", "one");
  server_.set_fault("/one", {.kind = Kind::Redirect, .location = "/one"});
  EXPECT_TRUE(contains(fetch_error({file}).message(), "more than 5 redirects"));
  EXPECT_EQ(server_.requests().size(), 6U);
}

TEST_F(FetchTest, MalformedDownloadsAreRefusedBeforeAnythingIsAsked) {
  const Download good = serve("/one", "one");
  const auto expect_refused = [&](const std::function<void(Download&)>& spoil) {
    Download bad = good;
    spoil(bad);
    fetch_error({good, bad});
  };
  for (const char* url : {"", "file:///etc/passwd", "ftp://host/x", "http://", "https", "http://host/a b",
                          "http://host/a\nX: y", "-ohttp://host/"}) {
    expect_refused([&](Download& bad) { bad.url = url; });
  }
  expect_refused([](Download& bad) { bad.url += "/" + std::string(kMaxUrlBytes, 'x'); });
  for (const char* sha256 : {"", "../../../../etc/passwd", "abc"}) {
    expect_refused([&](Download& bad) { bad.sha256 = sha256; });
  }
  expect_refused([](Download& bad) { bad.sha256[0] = 'G'; });
  expect_refused([](Download& bad) { bad.label.clear(); });
  expect_refused([](Download& bad) { bad.size = UINT64_MAX; });
  fetch_error(std::vector<Download>(kMaxDownloads + 1, good));
  EXPECT_TRUE(server_.requests().empty());
}

TEST_F(FetchTest, MissingProgramIsAnErrorOfOurs) {
  const Download file = serve("/one", "one");
  EXPECT_THROW(
      fetch_all(layout_, {file}, options_, progress_, CancelToken::process(), "/nonexistent/karapace-fetch"),
      Error);
}

/// A process of its own, forked while the test has no other thread. It waits for go() and then runs `body`.
class OtherProcess {
 public:
  explicit OtherProcess(const std::function<int(const Download&)>& body)
      : pipe_(make_pipe()), pid_(::fork()) {
    if (pid_ != 0) return;
    pipe_.write_end.reset();
    int status = 99;
    try {
      std::string url;
      std::array<char, 256> buffer{};
      ssize_t count = 0;
      while ((count = ::read(pipe_.read_end.get(), buffer.data(), buffer.size())) > 0)
        url.append(buffer.data(), static_cast<std::size_t>(count));
      const std::string content = some_bytes(4 * kMiB);
      status = body({.label = "big", .url = url, .sha256 = sha256_of(content), .size = content.size()});
    } catch (const std::exception& error) {
      fmt::print(stderr, "other process: {}\n", error.what());
    }
    ::_exit(status);
  }
  void go(const std::string& url) {
    write_all(pipe_.write_end, url);
    pipe_.write_end.reset();
  }
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  int wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  Pipe pipe_;
  pid_t pid_;
};

FetchReport fetch_into(const std::string& root, const Download& file) {
  const auto layout = store::StoreLayout::open_or_create(root);
  return fetch_all(layout, {file}, {}, no_progress(), CancelToken::process(), fetch_program());
}

/// A file system of 2 MiB at `path`, in namespaces that end with this object.
class SmallDisk {
 public:
  explicit SmallDisk(const std::string& path)
      : to_holder_(make_pipe()), from_holder_(make_pipe()), holder_(start_holder()) {
    // cat answers once it runs, and then it is in its namespaces.
    write_all(to_holder_.write_end, "x");
    char byte = 0;
    if (::read(from_holder_.read_end.get(), &byte, 1) != 1) throw_errno("wait for namespaces");
    const std::string pid = std::to_string(holder_.pid());
    run_checked(command("nsenter", {"--preserve-credentials", "-U", "-m", "-t", pid, "mount", "-t", "tmpfs",
                                    "-o", "size=2m", "tmpfs", path}));
    path_ = fmt::format("/proc/{}/root{}", pid, path);
  }
  /// The same directory, as seen from outside of the namespaces.
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  static Command command(const char* program, std::vector<std::string> arguments) {
    Command result;
    result.program = program;
    result.arguments = std::move(arguments);
    result.environment = host_tool_environment();
    return result;
  }

  ChildProcess start_holder() {
    Command holder = command("unshare", {"-Urm", "cat"});
    holder.fds.push_back({to_holder_.read_end, STDIN_FILENO});
    holder.fds.push_back({from_holder_.write_end, STDOUT_FILENO});
    ChildProcess child = spawn(holder);
    to_holder_.read_end.reset();
    from_holder_.write_end.reset();
    return child;
  }

  Pipe to_holder_;
  Pipe from_holder_;
  ChildProcess holder_;
  std::string path_;
};

TEST_F(FetchTest, FullDiskSaysWhereToMakeSpaceAndNobodyIsAskedAgain) {
  const Download file = serve("/big", some_bytes(4 * kMiB));
  const SmallDisk disk(root_.path());
  try {
    fetch_into(disk.path(), file);
    ADD_FAILURE() << "4 MiB fit into 2 MiB";
  } catch (const Error& error) {
    EXPECT_EQ(to_string(error.code()), "no_space");
    EXPECT_TRUE(contains(error.message(), "package big"));
    EXPECT_TRUE(contains(error.fix(), disk.path()));
  }
  EXPECT_EQ(server_.requests().size(), 1U);
}

TEST(FetchAlone, KilledCallerLeavesNothingThatTheNextOneCannotContinue) {
  const TempDir dir;
  OtherProcess other(
      [&](const Download& file) { return static_cast<int>(fetch_into(dir.path(), file).fetched); });
  test::HttpTestServer server;
  const std::string content = some_bytes(4 * kMiB);
  server.add("/big", content);
  const auto gate = server.add_gate("/big");
  other.go(server.url("/big"));
  ASSERT_TRUE(gate->wait_for_arrival());
  ::kill(other.pid(), SIGKILL);
  EXPECT_EQ(other.wait(), 128 + SIGKILL);
  gate->open();
  const Download file{
      .label = "big", .url = server.url("/big"), .sha256 = sha256_of(content), .size = content.size()};
  EXPECT_EQ(fetch_into(dir.path(), file).fetched, 1U);
}

}  // namespace

}  // namespace karapace::remote
