// SPDX-License-Identifier: Apache-2.0
#include "karapace/base/subprocess.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>

#include "karapace/base/cancel.hpp"
#include "karapace/base/rel_path.hpp"
#include "tests/support.hpp"

namespace karapace {
namespace {

using test::TempDir;

Command shell(std::string script) {
  Command command;
  command.program = "/bin/sh";
  command.arguments = {"-c", std::move(script)};
  command.environment = {{"PATH", "/usr/bin:/bin"}};
  return command;
}

/// Sets a variable of this process for one test.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    const char* before = std::getenv(name);
    if (before != nullptr) before_ = before;
    ::setenv(name, value, 1);
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  ~Variable() { before_ ? ::setenv(name_, before_->c_str(), 1) : ::unsetenv(name_); }

 private:
  const char* name_;
  std::optional<std::string> before_;
};

TEST(Run, ReturnsStatusAndBothStreams) {
  const RunResult result = run(shell("echo out; echo err >&2; exit 42"));
  EXPECT_EQ(42, result.status);
  EXPECT_EQ("out\n", result.out);
  EXPECT_EQ("err\n", result.err);
}

TEST(Run, ASignalIsStatus128PlusItsNumber) { EXPECT_EQ(128 + SIGKILL, run(shell("kill -9 $$")).status); }

TEST(Run, ArgumentsReachTheProgramAsTheyAre) {
  Command command = shell(R"(for a in "$@"; do printf '<%s>' "$a"; done)");
  for (const char* argument : {"sh", "a b", "$(x)", "", "-n", "new\nline", "\xff"})
    command.arguments.emplace_back(argument);
  EXPECT_EQ("<a b><$(x)><><-n><new\nline><\xff>", run(command).out);
}

TEST(Run, LargeInputAndOutputPassUnchangedAtOnce) {
  std::string data(std::size_t{8} * 1024 * 1024, '\0');
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i * 2654435761U >> 13U);
  Command command;
  command.program = "cat";
  const RunResult result = run(command, data);
  EXPECT_EQ(0, result.status);
  EXPECT_TRUE(data == result.out);
}

TEST(Run, AProgramThatDoesNotReadItsInputIsNoError) {
  EXPECT_EQ(3, run(shell("exec <&-; exit 3"), std::string(1 << 20, 'x')).status);
}

TEST(Run, TheEnvironmentIsExactlyWhatIsGiven) {
  const Variable secret("KARAPACE_TEST_SECRET", "leaked");
  Command command;
  command.program = "env";
  command.environment = {{"A", "1"}, {"B", "x=y"}};
  EXPECT_EQ("A=1\nB=x=y\n", run(command).out);
}

TEST(Run, EnvironmentNamesAndNulBytesAreChecked) {
  Command command = shell("true");
  command.environment = {{"A=B", "1"}};
  EXPECT_EQ(ErrorCode::InvalidInput, test::code_of([&] { static_cast<void>(run(command)); }));
  command.environment.clear();
  command.arguments.emplace_back("a\0b", 3);
  EXPECT_EQ(ErrorCode::InvalidInput, test::code_of([&] { static_cast<void>(run(command)); }));
}

TEST(Run, StderrLinesAreReportedWhileTheProgramRuns) {
  std::vector<std::string> lines;
  run_checked(shell("printf 'one\\ntwo\\nrest' >&2"), {}, {}, nullptr,
              [&](std::string_view line) { lines.emplace_back(line); });
  EXPECT_EQ((std::vector<std::string>{"one", "two", "rest"}), lines);
}

TEST(Run, OnlyTheEndOfALongStderrIsKept) {
  const RunResult result = run(shell("head -c 1000000 /dev/zero >&2; echo end >&2"));
  EXPECT_EQ(64U * 1024, result.err.size());
  EXPECT_TRUE(result.err.ends_with("end\n"));
}

TEST(Run, TooMuchOutputEndsTheProgram) {
  const RunLimits limits{.max_output_bytes = 100'000};
  EXPECT_EQ(ErrorCode::InvalidInput,
            test::code_of([&] { static_cast<void>(run(shell("cat /dev/zero"), {}, limits)); }));
}

TEST(Run, ADeadlineEndsTheProgram) {
  const RunLimits limits{.deadline = std::chrono::milliseconds(50)};
  EXPECT_EQ(ErrorCode::External,
            test::code_of([&] { static_cast<void>(run(shell("tail -f /dev/null"), {}, limits)); }));
}

TEST(Run, DoesNotWaitForWhatTheProgramLeftRunning) {
  const Pipe alive = make_pipe();
  Command command = shell("tail -f /dev/null & echo $!");
  const RunResult result = run(command);
  EXPECT_EQ(0, result.status);
  const int left_running = std::stoi(result.out);
  EXPECT_EQ(0, ::kill(left_running, SIGKILL)) << "it was still running, and is now cleaned up";
}

TEST(Run, CancellationEndsAProgramThatIgnoresTermAndAllItStarted) {
  Pipe alive = make_pipe();
  Command command = shell("trap '' TERM; tail -f /dev/null & echo ready >&2; tail -f /dev/null; wait");
  command.fds = {{alive.write_end, 5}};
  CancelToken token;
  const auto cancel = [&](std::string_view) { token.request(SIGINT); };
  EXPECT_THROW(static_cast<void>(run(command, {}, {}, &token, cancel)), Cancelled);
  alive.write_end.reset();
  // The end of the pipe comes when the last process that has it is gone.
  EXPECT_EQ("", read_all(alive.read_end, 10));
}

TEST(Run, ACancelledTokenStartsNothing) {
  const TempDir dir;
  CancelToken token;
  token.request(SIGINT);
  EXPECT_THROW(static_cast<void>(run(shell("touch " + dir.path() + "/ran"), {}, {}, &token)), Cancelled);
  EXPECT_FALSE(exists_at(dir.fd(), "ran"));
}

TEST(Run, AnErrorOfTheLineCallbackEndsTheProgram) {
  Pipe alive = make_pipe();
  Command command = shell("echo line >&2; tail -f /dev/null");
  command.fds = {{alive.write_end, 5}};
  const auto fail = [](std::string_view) { throw Error(ErrorCode::Conflict, "no"); };
  EXPECT_EQ(ErrorCode::Conflict,
            test::code_of([&] { static_cast<void>(run(command, {}, {}, nullptr, fail)); }));
  alive.write_end.reset();
  EXPECT_EQ("", read_all(alive.read_end, 10));
}

TEST(RunChecked, AFailureCarriesStatusAndStderr) {
  try {
    run_checked(shell("echo why >&2; exit 7"));
    FAIL();
  } catch (const ProcessError& error) {
    EXPECT_EQ(7, error.status());
    EXPECT_EQ("why\n", error.last_stderr());
    EXPECT_STREQ("/bin/sh ended with status 7: why", error.what());
  }
}

TEST(Spawn, AMissingProgramIsNotFoundAndABrokenOneASystemError) {
  Command command;
  command.program = "karapace-no-such-program";
  EXPECT_EQ(ErrorCode::NotFound, test::code_of([&] { static_cast<void>(spawn(command)); }));
  command.program = "/nonexistent/program";
  EXPECT_EQ(ENOENT, test::errno_of([&] { static_cast<void>(spawn(command)); }));
  const TempDir dir;
  test::write_file(dir.fd(), "text", "not a program", 0755);
  command.program = dir.path() + "/text";
  EXPECT_EQ(ENOEXEC, test::errno_of([&] { static_cast<void>(spawn(command)); }));
}

TEST(Spawn, TheChildHasNoDescriptorsBesidesThoseMapped) {
  // Without O_CLOEXEC, as something inherited from the shell would be: one below the highest target, one
  // above.
  const UniqueFd low(::dup(STDERR_FILENO));
  const UniqueFd high(::fcntl(STDERR_FILENO, F_DUPFD, 300));
  ASSERT_LT(low.get(), 200);
  const UniqueFd source = make_sealed_memfd("source", "content");
  std::string script =
      "for n in " + std::to_string(low.get()) + " " + std::to_string(high.get()) +
      "; do [ -e /proc/self/fd/$n ] && echo $n; done; [ -e /proc/self/fd/200 ] && echo mapped";
  Command command = shell(std::move(script));
  command.fds = {{source, 200}};
  EXPECT_EQ("mapped\n", run(command).out);
}

TEST(Spawn, UnmappedStandardStreamsAreTheNullDevice) {
  Pipe report = make_pipe();
  Command command = shell("for n in 0 1 2; do [ /proc/$$/fd/$n -ef /dev/null ] && echo $n >&7; done");
  command.fds = {{report.write_end, 7}};
  EXPECT_EQ(0, spawn(command).wait());
  report.write_end.reset();
  EXPECT_EQ("0\n1\n2\n", read_all(report.read_end, 1000));
}

TEST(Spawn, SwappedDescriptorsArriveSwapped) {
  const UniqueFd first = make_sealed_memfd("first", "first");
  const UniqueFd second = make_sealed_memfd("second", "second");
  const int a = first.get();
  const int b = second.get();
  Command command = shell("cat /proc/self/fd/" + std::to_string(a) + " /proc/self/fd/" + std::to_string(b));
  command.fds = {{first, b}, {second, a}};
  EXPECT_EQ("secondfirst", run(command).out);
}

TEST(Spawn, OneSourceMayHaveSeveralTargets) {
  Pipe pipe = make_pipe();
  Command command = shell("echo out; echo err >&2");
  command.fds = {{pipe.write_end, 1}, {pipe.write_end, 2}};
  EXPECT_EQ(0, spawn(command).wait());
  pipe.write_end.reset();
  EXPECT_EQ("out\nerr\n", read_all(pipe.read_end, 100));
}

TEST(Spawn, SignalsAreAsInANewProcess) {
  test::in_child([] {
    ::signal(SIGTERM, SIG_IGN);
    ::signal(SIGPIPE, SIG_IGN);
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
    // 32 and 33 are glibc's own; posix_spawn leaves them ignored.
    constexpr unsigned long kInternal = 0x180000000;
    const auto mask = [](const char* name) {
      return std::stoul(run(shell(std::string("grep ^") + name + ": /proc/self/status | cut -f 2")).out,
                        nullptr, 16);
    };
    EXPECT_EQ(0U, mask("SigBlk"));
    EXPECT_EQ(0U, mask("SigIgn") & ~kInternal);
  });
}

TEST(Spawn, StatusesAreNotLostWhereSigchldWasIgnored) {
  test::in_child([] {
    ::signal(SIGCHLD, SIG_IGN);
    EXPECT_EQ(5, run(shell("exit 5")).status);
  });
}

TEST(Spawn, WorkingDirectoryAndProcessGroupAreAsAskedFor) {
  const TempDir dir;
  Command command = shell("pwd -P; ps -o pgid= -p $$ | tr -d ' '; echo $$");
  command.arguments[1] = "pwd -P; read -r a b c d pgrp rest < /proc/$$/stat; [ $pgrp = $$ ] && echo leader";
  command.working_directory = dir.path();
  EXPECT_EQ(dir.path() + "\nleader\n", run(command).out);
  command.own_process_group = false;
  EXPECT_EQ(dir.path() + "\n", run(command).out);
}

TEST(ChildProcess, DestructionKillsAndReaps) {
  pid_t pid = -1;
  Pipe alive = make_pipe();
  {
    Command command = shell("trap '' TERM; tail -f /dev/null");
    command.fds = {{alive.write_end, 5}};
    const ChildProcess child = spawn(command);
    pid = child.pid();
    EXPECT_EQ(0, ::kill(pid, 0));
  }
  EXPECT_EQ(-1, ::waitpid(pid, nullptr, WNOHANG));
  EXPECT_EQ(ECHILD, errno);
  alive.write_end.reset();
  EXPECT_EQ("", read_all(alive.read_end, 10));
}

TEST(ChildProcess, TryWaitAnswersOnlyOnceItHasEnded) {
  Pipe stdin_pipe = make_pipe();
  Command command = shell("read line; exit 9");
  command.fds = {{stdin_pipe.read_end, 0}};
  ChildProcess child = spawn(command);
  stdin_pipe.read_end.reset();
  EXPECT_FALSE(child.try_wait().has_value());
  stdin_pipe.write_end.reset();
  pollfd ended{child.pidfd().get(), POLLIN, 0};
  ASSERT_EQ(1, ::poll(&ended, 1, 60'000));
  EXPECT_EQ(9, child.try_wait());
  EXPECT_EQ(9, child.wait()) << "asked again, it tells the same";
}

TEST(ChildProcess, SignalReachesItAndIsHarmlessAfterItsEnd) {
  ChildProcess child = spawn(shell("tail -f /dev/null & wait"));
  child.signal_group(SIGTERM);
  EXPECT_EQ(128 + SIGTERM, child.wait());
  child.signal(SIGKILL);
  child.signal_group(SIGKILL);
}

/// Puts the disposition of SIGXFSZ back that this process had.
class FileSizeSignal {
 public:
  FileSizeSignal() { ::sigaction(SIGXFSZ, nullptr, &before_); }
  FileSizeSignal(const FileSizeSignal&) = delete;
  FileSizeSignal& operator=(const FileSizeSignal&) = delete;
  ~FileSizeSignal() { ::sigaction(SIGXFSZ, &before_, nullptr); }

 private:
  struct sigaction before_ {};
};

TEST(FileSizeLimit, AWritePastItIsAnErrorAndNotTheEnd) {
  const TempDir dir;
  const auto write_too_much = [&] {
    ignore_file_size_signal();
    const rlimit limit{1000, 1000};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) std::exit(1);
    UniqueFd file = open_beneath(dir.fd(), "large", O_WRONLY | O_CREAT, 0600);
    const ErrorCode code = test::code_of([&] { write_all(file, std::string(2000, 'x')); });
    std::exit(code == ErrorCode::Unsupported ? 77 : 2);
  };
  EXPECT_EXIT(write_too_much(), testing::ExitedWithCode(77), "");
}

TEST(FileSizeLimit, ProgramsThatWeStartDieOfItAsAnywhere) {
  const FileSizeSignal restore;
  ignore_file_size_signal();
  EXPECT_EQ(128 + SIGXFSZ, run(shell("kill -XFSZ $$")).status);
}

TEST(FileSizeLimit, TheProgramThatTakesOurPlaceFindsItAsOurCallerLeftIt) {
  // Processes of their own: other tests have ignored it here, and what was found first is what counts.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto become = [](auto callers) {
    ::signal(SIGXFSZ, callers);
    ignore_file_size_signal();
    ignore_file_size_signal();  // what it finds the second time is its own work
    replace_process("/bin/sh", {"sh", "-c", "kill -XFSZ $$; exit 77"});
  };
  EXPECT_EXIT(become(SIG_DFL), testing::KilledBySignal(SIGXFSZ), "");
  EXPECT_EXIT(become(SIG_IGN), testing::ExitedWithCode(77), "");
}

TEST(FindProgram, LooksInAbsoluteEntriesOfPathAndInSbin) {
  const TempDir dir;
  test::write_file(dir.fd(), "karapace-tool", "#!/bin/sh\n", 0755);
  test::write_file(dir.fd(), "karapace-data", "x", 0644);
  make_directory_at(dir.fd(), "karapace-directory", 0755);
  const Variable path("PATH", ("relative:" + dir.path() + "::/usr/bin").c_str());
  EXPECT_EQ(dir.path() + "/karapace-tool", find_program("karapace-tool"));
  EXPECT_FALSE(find_program("karapace-data").has_value()) << "not executable";
  EXPECT_FALSE(find_program("karapace-directory").has_value());
  EXPECT_FALSE(find_program("").has_value());
  EXPECT_FALSE(find_program("../bin/sh").has_value());
  EXPECT_EQ("/bin/sh", find_program("/bin/sh"));
  EXPECT_TRUE(find_program("ldconfig").has_value()) << "it is in sbin";
}

TEST(HostToolEnvironment, HasOnlyWhatToolsNeed) {
  const Variable secret("KARAPACE_TEST_SECRET", "leaked");
  const Variable locale("LC_ALL", "de_DE.UTF-8");
  const Variable proxy("http_proxy", "http://proxy:3128");
  const Variable path("PATH", ".:/opt/bin::/usr/bin");
  const auto variables = host_tool_environment();
  const auto value = [&](std::string_view name) -> std::optional<std::string> {
    const auto found = std::ranges::find(variables, name, [](const auto& pair) { return pair.first; });
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
  EXPECT_EQ("/opt/bin:/usr/bin:/usr/local/sbin:/usr/sbin:/sbin", value("PATH"));
  EXPECT_EQ("C.UTF-8", value("LANG"));
  EXPECT_EQ("http://proxy:3128", value("http_proxy"));
  EXPECT_FALSE(value("LC_ALL").has_value());
  EXPECT_FALSE(value("KARAPACE_TEST_SECRET").has_value());
}

}  // namespace
}  // namespace karapace
