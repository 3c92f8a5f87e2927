// SPDX-License-Identifier: Apache-2.0
// What a session promises: the command's own streams, signals and status; nothing of the host inside; nothing
// left outside.
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <latch>
#include <random>
#include <thread>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "session_fixture.hpp"

namespace karapace::test {
namespace {

using runtime::StopResult;

class Sessions : public SessionTest {
 protected:
  void SetUp() override {
    SessionTest::SetUp();
    possible_ = record_.ownership != "impossible";
  }
  [[nodiscard]] std::filesystem::path policy_directory() const {
    namespace fs = std::filesystem;
    for (const auto& entry : fs::directory_iterator(fs::path(store_.root_path()) / "env" / record_.env_id)) {
      if (entry.path().filename().string().starts_with("policy-")) return entry.path();
    }
    ADD_FAILURE() << "there is no policy directory";
    return {};
  }
  bool possible_ = false;
};

/// Waits for a process of ours or of a child that was killed. Such orphans come to us (see main), and their
/// pid namespace is not gone before somebody reaps them.
bool ends_and_reap_orphans(const UniqueFd& pidfd) {
  for (int round = 0; round < 600; ++round) {
    pollfd state{pidfd.get(), POLLIN, 0};
    if (::poll(&state, 1, 50) > 0) return true;
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
  }
  return false;
}

// Where mapped ownership is impossible for this user, SetUp has checked that it says so; there is nothing
// else to see.
#define KARAPACE_REQUIRE_POSSIBLE() \
  if (!possible_) return

TEST_P(Sessions, ExitStatusIsTheCommands) {
  KARAPACE_REQUIRE_POSSIBLE();
  EXPECT_EQ(run_script("exit 42").status, 42);
  EXPECT_EQ(run_script("exit 0").status, 0);
  EXPECT_EQ(run_script("kill -9 $$").status, 137);
  EXPECT_EQ(run_script("kill -TERM $$").status, 143);
}

TEST_P(Sessions, CommandsThatCannotRunGive126And127) {
  KARAPACE_REQUIRE_POSSIBLE();
  const Outcome missing = run(request({"no-such-program"}));
  EXPECT_EQ(missing.status, 127);
  EXPECT_NE(missing.err.find("no-such-program"), std::string::npos);
  EXPECT_EQ(run(request({"/etc/passwd"})).status, 126);
  EXPECT_EQ(run(request({"/no/such/file"})).status, 127);
}

TEST_P(Sessions, AScriptWithoutInterpreterLineIsRunByTheShell) {
  KARAPACE_REQUIRE_POSSIBLE();
  EXPECT_EQ(run_script("echo 'exit 7' > ~/script; chmod +x ~/script; exec ~/script").status, 7);
  EXPECT_EQ(
      run(request({runtime::current_user().uid == 0 ? "/root/script"
                                                    : "/home/" + runtime::current_user().name + "/script"}))
          .status,
      7);
}

TEST_P(Sessions, ALinkInPlaceOfOurOwnFilesIsNotFollowed) {
  KARAPACE_REQUIRE_POSSIBLE();
  namespace fs = std::filesystem;
  EXPECT_EQ(run_script("true").status, 0);
  const std::string outside = directory_.path() + "/outside";
  fs::create_directory(outside);
  std::ofstream(outside + "/secret") << "precious";
  const fs::path environment = fs::path(store_.root_path()) / "env" / record_.env_id;
  const fs::path policy = policy_directory();
  fs::rename(policy, environment / "aside");
  fs::create_directory_symlink(outside, policy);
  fs::remove(environment / "run/holder");
  fs::create_hard_link(outside + "/secret", environment / "run/holder");
  EXPECT_EQ(run_script("[ ! -e /secret ]").status, 0);
  EXPECT_EQ(read_host_file(outside + "/secret"), "precious");
}

TEST_P(Sessions, APolicyDirectoryThatIsDamagedIsMadeAnew) {
  KARAPACE_REQUIRE_POSSIBLE();
  namespace fs = std::filesystem;
  const runtime::SessionRequest show = script("cat /etc/passwd /etc/hosts && pwd");
  const Outcome good = run(show);
  ASSERT_EQ(good.status, 0) << good.err;
  const fs::path environment = fs::path(store_.root_path()) / "env" / record_.env_id;
  const auto edit = [](const fs::path& file, auto change) {
    std::string text = read_host_file(file);
    change(text);
    std::ofstream(file) << text;
  };
  const std::vector<std::pair<const char*, std::function<void(const fs::path&)>>> damages = {
      {"cut", [&](const fs::path& policy) { fs::resize_file(policy / "etc/hosts", 0); }},
      {"edited", [&](const fs::path& policy) { edit(policy / "etc/passwd", [](auto& t) { t[0] = 'R'; }); }},
      {"longer", [&](const fs::path& policy) { edit(policy / "etc/hosts", [](auto& t) { t += "#"; }); }},
      {"a file is gone", [](const fs::path& policy) { fs::remove(policy / "etc/hosts"); }},
      {"no mount points", [](const fs::path& policy) { fs::remove_all(policy / "home"); }},
      {"a link",
       [](const fs::path& policy) {
         fs::rename(policy / "etc", policy / "aside");
         fs::create_directory_symlink("aside", policy / "etc");
       }},
      {"nothing in it", [](const fs::path& policy) {
         fs::remove_all(policy);
         fs::create_directory(policy);
       }}};
  int number = 0;
  for (const auto& [what, damage] : damages) {
    SCOPED_TRACE(what);
    const fs::path policy = policy_directory();
    // Its files may belong to root inside: a copy of ours takes their place.
    const fs::path aside = environment / ("aside-" + std::to_string(number++));
    fs::rename(policy, aside);
    fs::copy(aside, policy, fs::copy_options::recursive);
    damage(policy);
    const Outcome again = run(show);
    EXPECT_EQ(again.status, 0) << again.err;
    EXPECT_EQ(again.out, good.out);
  }
}

TEST_P(Sessions, APolicyDirectoryThatIsAsItShouldBeIsUsedAgain) {
  KARAPACE_REQUIRE_POSSIBLE();
  const auto inode = [&] {
    struct stat info {};
    EXPECT_EQ(::stat(policy_directory().c_str(), &info), 0);
    return info.st_ino;
  };
  EXPECT_EQ(run_script("true").status, 0);
  const ino_t first = inode();
  EXPECT_EQ(run_script("true").status, 0);
  EXPECT_EQ(inode(), first);
}

TEST_P(Sessions, BinaryDataPassesThroughUnchanged) {
  KARAPACE_REQUIRE_POSSIBLE();
  std::string data(24 * 1024 * 1024, '\0');
  std::mt19937_64 engine(42);
  for (char& c : data) c = static_cast<char>(engine());
  RunningSession session = start(request({"cat"}));
  std::jthread writer([&] {
    session.write(data);
    session.close_input();
  });
  Outcome outcome;
  outcome.out = session.read_rest();
  writer.join();
  outcome.status = session.process().wait();
  EXPECT_EQ(outcome.status, 0);
  EXPECT_TRUE(outcome.out == data);
}

TEST_P(Sessions, StandardStreamsStayApart) {
  KARAPACE_REQUIRE_POSSIBLE();
  const Outcome outcome = run_script("echo out; echo err >&2");
  EXPECT_EQ(outcome.out, "out\n");
  EXPECT_EQ(outcome.err, "err\n");
}

TEST_P(Sessions, SignalsReachTheCommand) {
  KARAPACE_REQUIRE_POSSIBLE();
  for (const auto& [name, number] :
       {std::pair("INT", SIGINT), {"TERM", SIGTERM}, {"HUP", SIGHUP}, {"USR1", SIGUSR1}}) {
    SCOPED_TRACE(name);
    RunningSession session = start(
        script(std::string("trap 'echo got; exit 7' ") + name + "; exec 3<&0; echo ready; cat <&3 & wait"));
    EXPECT_EQ(session.read_line(), "ready");
    session.process().signal(number);
    EXPECT_EQ(session.read_line(), "got");
    EXPECT_EQ(session.finish().status, 7);
  }
}

TEST_P(Sessions, AKillingSignalEndsACommandThatDoesNotHandleIt) {
  KARAPACE_REQUIRE_POSSIBLE();
  RunningSession session = start(script("echo ready; exec cat"));
  session.read_line();
  session.process().signal(SIGINT);
  EXPECT_EQ(session.wait_open(), 130);
}

TEST_P(Sessions, TwoShareOneLiveSystem) {
  KARAPACE_REQUIRE_POSSIBLE();
  RunningSession first = start(script("echo one > /tmp/shared; echo $$; cat; cat /tmp/answer"));
  const std::string pid = first.read_line();
  const Outcome second =
      run_script("cat /tmp/shared; kill -0 " + pid + " && echo seen; echo two > /tmp/answer");
  EXPECT_EQ(second.out, "one\nseen\n") << second.err;
  EXPECT_EQ(first.finish().out, "two\n");
}

TEST_P(Sessions, NothingIsLeftAfterTheLastOne) {
  KARAPACE_REQUIRE_POSSIBLE();
  RunningSession session = start(script("(sleep 1000 &); echo ready; cat"));
  session.read_line();
  const runtime::SessionStatus running = status();
  ASSERT_TRUE(running.running);
  EXPECT_TRUE(is_running(running.holder_pid));
  EXPECT_EQ(session.finish().status, 0);
  EXPECT_FALSE(status().running);
  EXPECT_FALSE(is_running(running.holder_pid));
}

TEST_P(Sessions, MountsDoNotLeakToTheHost) {
  KARAPACE_REQUIRE_POSSIBLE();
  const std::string before = read_host_file("/proc/self/mountinfo");
  RunningSession session = start(script("echo ready; cat"));
  session.read_line();
  EXPECT_EQ(read_host_file("/proc/self/mountinfo"), before);
  session.finish();
  EXPECT_EQ(read_host_file("/proc/self/mountinfo"), before);
}

TEST_P(Sessions, ChangesAreKeptAndWhatIsInMemoryIsNot) {
  KARAPACE_REQUIRE_POSSIBLE();
  runtime::SessionRequest root = script("echo kept > /etc/kept; echo gone > /tmp/gone");
  root.as_root = true;
  EXPECT_EQ(run(root).status, 0);
  EXPECT_EQ(run_script("cat /etc/kept; ls /tmp").out, "kept\n");
}

TEST_P(Sessions, StopEndsAllOfThem) {
  KARAPACE_REQUIRE_POSSIBLE();
  RunningSession first = start(script("echo ready; exec cat"));
  first.read_line();
  RunningSession second = start(script("echo ready; exec cat"));
  second.read_line();
  EXPECT_EQ(runtime::stop_sessions(store_, record_.env_id, std::chrono::seconds(20)), StopResult::Terminated);
  EXPECT_EQ(first.wait_open(), 143);
  EXPECT_EQ(second.wait_open(), 143);
  EXPECT_FALSE(status().running);
  EXPECT_EQ(runtime::stop_sessions(store_, record_.env_id, std::chrono::seconds(20)), StopResult::NotRunning);
}

TEST_P(Sessions, StopKillsWhatDoesNotListen) {
  KARAPACE_REQUIRE_POSSIBLE();
  RunningSession session = start(script("trap '' TERM HUP; echo ready; while :; do read line || :; done"));
  session.read_line();
  EXPECT_EQ(runtime::stop_sessions(store_, record_.env_id, std::chrono::milliseconds(100)),
            StopResult::Killed);
  EXPECT_EQ(session.wait_open(), 137);
  EXPECT_EQ(run_script("echo again").out, "again\n");
}

TEST_P(Sessions, AKilledSupervisorTakesItsSessionWithIt) {
  KARAPACE_REQUIRE_POSSIBLE();
  RunningSession session = start(script("echo ready; exec cat"));
  session.read_line();
  const UniqueFd holder(static_cast<int>(::syscall(SYS_pidfd_open, status().holder_pid, 0)));
  ASSERT_TRUE(holder);
  session.process().signal(SIGKILL);
  EXPECT_EQ(session.wait_open(), 137);  // the pipe closes only when the command inside is gone
  // The next command waits for the old holder, or finds it gone: both without help.
  EXPECT_EQ(run_script("echo again").out, "again\n");
  EXPECT_TRUE(ends_and_reap_orphans(holder));
}

TEST_P(Sessions, AKilledHolderLeavesAUsableEnvironment) {
  KARAPACE_REQUIRE_POSSIBLE();
  RunningSession session = start(script("echo kept > ~/kept; echo ready; exec cat"));
  session.read_line();
  ASSERT_EQ(::kill(status().holder_pid, SIGKILL), 0);
  EXPECT_EQ(session.wait_open(), 137);
  EXPECT_EQ(run_script("cat ~/kept").out, "kept\n");
}

TEST_P(Sessions, ManyAtOnceStartOneHolder) {
  KARAPACE_REQUIRE_POSSIBLE();
  constexpr int kCount = 6;
  std::vector<std::string> namespaces(kCount);
  {
    std::latch all_open(kCount);
    std::vector<std::jthread> threads;
    for (int i = 0; i < kCount; ++i) {
      threads.emplace_back([&, i] {
        RunningSession session = start(script("readlink /proc/self/ns/mnt; cat"));
        namespaces[static_cast<std::size_t>(i)] = session.read_line();
        all_open.arrive_and_wait();
        EXPECT_EQ(session.finish().status, 0);
      });
    }
  }
  EXPECT_TRUE(namespaces.front().starts_with("mnt:["));
  for (const std::string& name : namespaces) EXPECT_EQ(name, namespaces.front());
  EXPECT_FALSE(status().running);
}

TEST_P(Sessions, OfManyThatEndTogetherOneIsTheLast) {
  KARAPACE_REQUIRE_POSSIBLE();
  for (int round = 0; round < 8; ++round) {
    std::vector<RunningSession> sessions;
    for (int i = 0; i < 4; ++i) {
      sessions.push_back(start(script("echo ready; cat")));
      ASSERT_EQ(sessions.back().read_line(), "ready");
    }
    for (RunningSession& session : sessions) session.close_input();
    for (RunningSession& session : sessions) EXPECT_EQ(session.finish().status, 0);
    EXPECT_FALSE(status().running) << "round " << round;
  }
}

TEST_P(Sessions, LockedOutSessionsWaitAndCannotBeLockedOutWhileOpen) {
  KARAPACE_REQUIRE_POSSIBLE();
  RunningSession session = start(script("echo ready; cat"));
  session.read_line();
  EXPECT_FALSE(runtime::lock_out_sessions(store_, record_.env_id));
  session.finish();
  EXPECT_TRUE(runtime::lock_out_sessions(store_, record_.env_id));
}

TEST_P(Sessions, AnEnvironmentThatIsNotBuiltIsRefused) {
  KARAPACE_REQUIRE_POSSIBLE();
  record_.state = store::EnvState::Archived;
  try {
    static_cast<void>(prepare(script("true")));
    FAIL() << "a session in an archived environment";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Conflict);
  }
}

TEST_P(Sessions, AFrozenEnvironmentIsReadOnly) {
  KARAPACE_REQUIRE_POSSIBLE();
  runtime::SessionRequest root = script("echo kept > /etc/kept");
  root.as_root = true;
  EXPECT_EQ(run(root).status, 0);
  record_.state = store::EnvState::Frozen;
  put_record();
  root = script("cat /etc/kept; echo new > /etc/new || echo refused; echo x > /tmp/x && echo memory");
  root.as_root = true;
  EXPECT_EQ(run(root).out, "kept\nrefused\nmemory\n");
}

INSTANTIATE_TEST_SUITE_P(Ownership, Sessions, testing::Values(Ownership::Flat, Ownership::Mapped),
                         ownership_name);

}  // namespace
}  // namespace karapace::test
