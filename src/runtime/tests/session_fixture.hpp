// SPDX-License-Identifier: Apache-2.0
// A store with one tiny built environment: busybox as base image. And sessions in it, as real processes.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "karapace/base/subprocess.hpp"
#include "karapace/runtime/session.hpp"
#include "temporary_directory.hpp"

namespace karapace::test {

struct Outcome {
  int status = -1;
  std::string out;
  std::string err;
};

/// A session that runs while the test does something else. Its output is read with read_line.
class RunningSession {
 public:
  RunningSession(const store::StoreLayout& store, runtime::PreparedSession session);
  /// The next line of standard output without its newline; fails the test at end of file.
  std::string read_line();
  /// Standard output up to its end.
  std::string read_rest();
  void write(std::string_view text);
  void close_input() { input_.reset(); }
  [[nodiscard]] ChildProcess& process() noexcept { return process_; }
  /// Ends the input, reads the rest and waits.
  Outcome finish();
  /// Waits without ending the input, also for everything that has the output open: for what must end by
  /// itself.
  int wait_open();

 private:
  struct Pipes {
    Pipe in = make_pipe();
    Pipe out = make_pipe();
    Pipe err = make_pipe();
  };
  RunningSession(const store::StoreLayout& store, runtime::PreparedSession session, Pipes pipes);
  UniqueFd input_;
  UniqueFd output_;
  UniqueFd errors_;
  ChildProcess process_;
  std::string buffered_;
};

/// The parameter is the ownership.
class SessionTest : public testing::TestWithParam<Ownership> {
 public:
  SessionTest(const SessionTest&) = delete;
  SessionTest& operator=(const SessionTest&) = delete;
  ~SessionTest() override;

 protected:
  SessionTest();
  void SetUp() override;

  /// A request for `command` in the environment; tests change it before they use it.
  [[nodiscard]] runtime::SessionRequest request(std::vector<std::string> command) const;
  [[nodiscard]] runtime::SessionRequest script(const std::string& text) const;
  [[nodiscard]] runtime::PreparedSession prepare(const runtime::SessionRequest& request) const;
  [[nodiscard]] Outcome run(const runtime::SessionRequest& request) const;
  [[nodiscard]] Outcome run_script(const std::string& text) const { return run(script(text)); }
  [[nodiscard]] RunningSession start(const runtime::SessionRequest& request) const;
  [[nodiscard]] runtime::SessionStatus status() const;
  void put_record() const;

  TemporaryDirectory directory_;
  store::StoreLayout store_;
  store::EnvRecord record_;
  Manifest manifest_;
};

/// For names of parameterised tests.
[[nodiscard]] std::string ownership_name(const testing::TestParamInfo<Ownership>& parameter);

/// True if process `pid` of the host is there and no zombie.
[[nodiscard]] bool is_running(pid_t pid);
[[nodiscard]] std::string read_host_file(const std::string& path);

}  // namespace karapace::test
