// SPDX-License-Identifier: Apache-2.0
// What is different when somebody sits at a terminal: questions, colours, the line that is drawn in place.
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "cli_support.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"

namespace karapace::test {
namespace {

struct Terminal {
  UniqueFd master;
  UniqueFd slave;
};

Terminal open_terminal(unsigned short columns) {
  Terminal terminal{.master = UniqueFd(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)), .slave = UniqueFd()};
  char name[64] = {};
  if (!terminal.master || ::grantpt(terminal.master.get()) != 0 || ::unlockpt(terminal.master.get()) != 0 ||
      ::ptsname_r(terminal.master.get(), name, sizeof name) != 0) {
    throw_errno("pseudo-terminal");
  }
  terminal.slave = open_path(name, O_RDWR | O_NOCTTY);
  const struct winsize size { .ws_row = 24, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0 };
  if (::ioctl(terminal.slave.get(), TIOCSWINSZ, &size) != 0) throw_errno("TIOCSWINSZ");
  return terminal;
}

class CliTerminal : public CliTest {
 protected:
  CliTerminal() { environment_.emplace_back("TERM", "xterm-256color"); }

  struct Result {
    int status;
    std::string screen;
  };
  /// Runs with all three streams on a terminal on which `typed` was typed ahead.
  Result at_terminal(const std::vector<std::string>& words, std::string_view typed,
                     unsigned short columns = 80) {
    Terminal terminal = open_terminal(columns);
    write_all(terminal.master, typed);
    ChildProcess child = spawn({.program = karapace_binary(),
                                .arguments = words,
                                .environment = environment_,
                                .fds = {{terminal.slave, 0}, {terminal.slave, 1}, {terminal.slave, 2}},
                                .working_directory = project()});
    terminal.slave.reset();
    Result result{.status = 0, .screen = {}};
    // EIO is the end: the last holder of the other side is gone.
    char buffer[4096];
    for (ssize_t got = 0; (got = ::read(terminal.master.get(), buffer, sizeof buffer)) > 0;) {
      result.screen.append(buffer, static_cast<std::size_t>(got));
    }
    result.status = child.wait();
    return result;
  }
};

TEST_F(CliTerminal, DestroyAsksAndOnlyYesDestroys) {
  const std::string id = build_mock("dev");
  for (const std::string answer : {"\n", "n\n", "\x04"}) {
    const Result result = at_terminal({"destroy", "dev"}, answer);
    EXPECT_EQ(result.status, 1) << result.screen;
    EXPECT_NE(result.screen.find("Destroy dev (" + id.substr(0, 12) + ")"), std::string::npos)
        << result.screen;
    EXPECT_EQ(karapace_json({"list"}).size(), 1U);
  }
  EXPECT_EQ(at_terminal({"destroy", "dev"}, "y\n").status, 0);
  EXPECT_EQ(karapace_json({"list"}).size(), 0U);
}

TEST_F(CliTerminal, DestroyWithYesDoesNotAsk) {
  build_mock("dev");
  EXPECT_EQ(at_terminal({"destroy", "--yes", "dev"}, "").status, 0);
  EXPECT_EQ(karapace_json({"list"}).size(), 0U);
}

TEST_F(CliTerminal, NewMakesAManifestFromAnswers) {
  const Result result = at_terminal({"new", "dev"}, "debian/13\ngit curl\n./:/workspace\nmock\ny\n");
  ASSERT_EQ(result.status, 0) << result.screen;
  EXPECT_EQ(
      read("karapace.toml"),
      "manifest_version = 1\n\n[base]\nimage = \"debian/13\"\n\n[system]\npackages = [\"git\", \"curl\"]\n\n"
      "[mounts]\nworkspace = \"./:/workspace\"\n\n[runtime]\nbackend = \"mock\"\nnetwork_isolation = true\n");
}

TEST_F(CliTerminal, NewTakesDefaultsAtEndOfInput) {
  ASSERT_EQ(at_terminal({"new", "dev"}, "\x04\x04\x04\x04\x04").status, 0);
  EXPECT_NE(read("karapace.toml").find("image = \"debian/12\""), std::string::npos);
}

TEST_F(CliTerminal, NewWithABadAnswerWritesNothing) {
  EXPECT_EQ(at_terminal({"new", "dev"}, "debian/12\n-oFoo\n").status, 2);
  EXPECT_EQ(at_terminal({"new", "dev"}, "debian/12\n\nnonsense\n\n\n").status, 2);
  EXPECT_FALSE(exists("karapace.toml"));
}

TEST_F(CliTerminal, NewAsksBeforeItReplaces) {
  write("karapace.toml", "mine");
  EXPECT_EQ(at_terminal({"new", "dev", "--template", "minimal"}, "n\n").status, 1);
  EXPECT_EQ(read("karapace.toml"), "mine");
  EXPECT_EQ(at_terminal({"new", "dev", "--template", "minimal"}, "y\n").status, 0);
  EXPECT_NE(read("karapace.toml"), "mine");
}

TEST_F(CliTerminal, StepsAreDrawnInPlaceAndEndWithAMark) {
  write_mock_manifest("'git'");
  const Result result = at_terminal({"build", "--name", "dev"}, "");
  EXPECT_EQ(result.status, 0);
  EXPECT_NE(result.screen.find("✓"), std::string::npos) << result.screen;
  EXPECT_NE(result.screen.find("\r\x1b[K"), std::string::npos);
  EXPECT_NE(result.screen.find("built dev"), std::string::npos);
}

TEST_F(CliTerminal, AFailedStepEndsWithACross) {
  write_mock_manifest("'no-such-tool'");
  const Result result = at_terminal({"build"}, "");
  EXPECT_EQ(result.status, 2);
  EXPECT_NE(result.screen.find("✗"), std::string::npos) << result.screen;
}

TEST_F(CliTerminal, NoColorIsRespected) {
  build_mock("dev");
  EXPECT_NE(at_terminal({"list"}, "").screen.find("\x1b[32m"), std::string::npos);
  environment_.emplace_back("NO_COLOR", "1");
  EXPECT_EQ(at_terminal({"list"}, "").screen.find('\x1b'), std::string::npos);
}

TEST_F(CliTerminal, ANarrowTerminalDoesNotMakeStepsWrap) {
  write_mock_manifest("'git'");
  const std::string screen = at_terminal({"build"}, "", 12).screen;
  const std::size_t clear = screen.rfind("\r\x1b[K");
  ASSERT_NE(clear, std::string::npos);
  for (std::size_t at = screen.find("✓"); at != std::string::npos; at = screen.find("✓", at + 1)) {
    const std::size_t end = screen.find('\r', at);
    std::string line = screen.substr(at, end - at);
    if (const std::size_t reset = line.find("\x1b[0m"); reset != std::string::npos) line.erase(reset, 4);
    EXPECT_LE(line.size(), 12U + 2U) << "the mark has three bytes and one column: " << line;
  }
}

}  // namespace
}  // namespace karapace::test
