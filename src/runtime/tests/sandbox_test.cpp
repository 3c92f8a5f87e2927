// SPDX-License-Identifier: Apache-2.0
// Build sandboxes: overlay roots for install steps, the host's root for tree work.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/runtime/prerequisites.hpp"
#include "karapace/runtime/sandbox.hpp"
#include "karapace/runtime/worker.hpp"
#include "session_fixture.hpp"

namespace karapace::test {
namespace {

using runtime::BuildSandbox;
using runtime::OverlayRoot;

class Sandbox : public SessionTest {
 protected:
  [[nodiscard]] bool possible() const { return record_.ownership != "impossible"; }
  [[nodiscard]] BuildSandbox overlay(const std::string& text) {
    const UniqueFd staging = store_.staging();
    ensure_directory_at(staging, "upper", 0755);
    ensure_directory_at(staging, "work", 0755);
    BuildSandbox sandbox;
    sandbox.ownership = GetParam();
    sandbox.root = OverlayRoot{{"trees/" + record_.base_layer}, "store/staging/upper", "store/staging/work"};
    sandbox.argv = {"sh", "-c", text};
    sandbox.environment = {{"PATH", "/bin"}, {"ONLY", "this"}};
    return sandbox;
  }
  [[nodiscard]] BuildSandbox host(const std::string& text) const {
    BuildSandbox sandbox;
    sandbox.ownership = GetParam();
    sandbox.argv = {"sh", "-c", text};
    sandbox.environment = {{"PATH", "/usr/sbin:/usr/bin:/sbin:/bin"}};
    return sandbox;
  }
  [[nodiscard]] RunResult run_in(const BuildSandbox& sandbox, std::string_view input = {}) {
    return runtime::run_sandboxed(store_, runtime::make_build_plan(sandbox), input, {},
                                  CancelToken::process());
  }
  /// Everything below store/staging, by the owners' own hands.
  void clear_staging() { static_cast<void>(run_in(with_store(host("cd /mnt && rm -rf upper work")))); }
  [[nodiscard]] static BuildSandbox with_store(BuildSandbox sandbox) {
    runtime::MountStep step;
    step.source = "store/staging";
    step.target = "/mnt";
    step.recursive = true;
    sandbox.extra_mounts.push_back(step);
    return sandbox;
  }
};

TEST_P(Sandbox, InputOutputAndStatusAreTheProgrammes) {
  if (!possible()) return;
  const RunResult result =
      run_in(overlay("id -u; cat; echo err >&2; env | sort; hostname; exit 5"), "given\n");
  EXPECT_EQ(result.status, 5);
  EXPECT_TRUE(result.out.starts_with("0\ngiven\n")) << result.out;
  EXPECT_NE(result.out.find("ONLY=this\n"), std::string::npos);
  EXPECT_EQ(result.out.find("HOME="), std::string::npos);
  EXPECT_TRUE(result.out.ends_with("\nkarapace\n"));
  EXPECT_EQ(result.err, "err\n");
  clear_staging();
}

TEST_P(Sandbox, WhatACancelledBuildLeftIsRemovedAllTheSame) {
  if (!possible()) return;
  ensure_directory_at(store_.staging(), "left", 0755);
  CancelToken::process().request(SIGINT);
  EXPECT_NO_THROW(runtime::TreeWorker(store_, GetParam()).remove("store/staging/left"));
  CancelToken::process().reset();
  EXPECT_FALSE(stat_at(store_.staging(), "left"));
}

TEST_P(Sandbox, ChangesAreInTheUpperDirectoryOnly) {
  if (!possible()) return;
  ASSERT_EQ(run_in(overlay("echo new > /etc/new; rm /etc/group")).status, 0);
  const UniqueFd staging = store_.staging();
  EXPECT_EQ(read_file_at(staging, "upper/etc/new", 10), "new\n");
  const auto whiteout = stat_at(open_directory(staging, "upper/etc"), "group");
  ASSERT_TRUE(whiteout);
  EXPECT_TRUE(S_ISCHR(whiteout->st_mode));
  EXPECT_TRUE(exists_at(open_directory(store_.trees(), record_.base_layer + "/etc"), "group"));
  clear_staging();
}

TEST_P(Sandbox, HasNoNetworkUnlessAsked) {
  if (!possible()) return;
  EXPECT_EQ(run_in(overlay("tail -n +3 /proc/net/dev | cut -d : -f 1 | tr -d ' '")).out, "lo\n");
  BuildSandbox open = overlay("readlink /proc/self/ns/net");
  open.network = true;
  char link[64] = {};
  ASSERT_GT(::readlink("/proc/self/ns/net", link, sizeof link - 1), 0);
  EXPECT_EQ(run_in(open).out, std::string(link) + "\n");
  clear_staging();
}

TEST_P(Sandbox, NothingItStartedOutlivesIt) {
  if (!possible()) return;
  // The child holds the read end of nothing; that it is gone shows in the fifo that it would have open.
  ASSERT_EQ(run_in(overlay("(exec sleep 1000) & echo started")).out, "started\n");
  const RunResult again = run_in(overlay("ps | grep -c '[s]leep'"));
  EXPECT_EQ(again.out, "0\n");
  clear_staging();
}

TEST_P(Sandbox, OwnersAreEmulatedWhenFlatAndRealWhenMapped) {
  if (!possible()) return;
  const RunResult result =
      run_in(overlay("touch /a && chown 33:44 /a && stat -c %u:%g /a; mknod /null c 1 3 && echo node"));
  if (GetParam() == Ownership::Flat) {
    EXPECT_EQ(result.out, "0:0\nnode\n") << result.err;
  } else {
    EXPECT_EQ(result.out, "33:44\n") << result.err;
  }
  clear_staging();
}

TEST_P(Sandbox, AFifoIsReallyMadeUnderTheEmulation) {
  if (!possible()) return;
  EXPECT_EQ(run_in(overlay("mkfifo /tmp/f && stat -c %F /tmp/f")).out, "fifo\n");
  clear_staging();
}

TEST_P(Sandbox, TheHostsRootStaysAndMountsOfTheStepDoNotLeak) {
  if (!possible()) return;
  const std::string before = read_host_file("/proc/self/mountinfo");
  const RunResult result =
      run_in(with_store(host("id -u; ls -d /mnt; echo made > /mnt/made; cat /proc/1/comm")));
  EXPECT_EQ(result.out, "0\n/mnt\nkarapace-holder\n") << result.err;
  EXPECT_EQ(read_file_at(store_.staging(), "made", 10), "made\n");
  EXPECT_EQ(read_host_file("/proc/self/mountinfo"), before);
  static_cast<void>(run_in(with_store(host("rm /mnt/made"))));
}

TEST_P(Sandbox, PassedDescriptorsKeepTheirNumbers) {
  if (!possible()) return;
  runtime::LaunchPlan plan = runtime::make_build_plan(host("cat <&9; exec ls /proc/self/fd"));
  UniqueFd file = make_sealed_memfd("passed", "through nine\n");
  ASSERT_EQ(::dup2(file.get(), 9), 9);
  plan.process.keep_fds = {9};
  const RunResult result = runtime::run_sandboxed(store_, plan, {}, {}, CancelToken::process());
  ::close(9);
  // 3 is what ls itself opened.
  EXPECT_EQ(result.out, "through nine\n0\n1\n2\n3\n9\n") << result.err;
}

TEST_P(Sandbox, AFailedStepNamesItselfAndTheReason) {
  if (!possible()) return;
  BuildSandbox sandbox = overlay("true");
  sandbox.extra_mounts.push_back({.source = "/no/such/place", .target = "/etc"});
  const RunResult result = run_in(sandbox);
  EXPECT_EQ(result.status, 125);
  EXPECT_NE(result.err.find("/no/such/place"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("No such file or directory"), std::string::npos) << result.err;
  clear_staging();
}

TEST_P(Sandbox, AMountTargetMustExistOutsideOfMemory) {
  if (!possible()) return;
  BuildSandbox sandbox = overlay("true");
  sandbox.extra_mounts.push_back(
      {.source = "/usr", .target = "/not/there", .recursive = true, .create_target = true});
  EXPECT_EQ(run_in(sandbox).status, 125);
  clear_staging();
}

TEST_P(Sandbox, CheckedRunsThrowWithTheLastWords) {
  if (!possible()) return;
  try {
    runtime::run_sandboxed_checked(store_, runtime::make_build_plan(overlay("echo because >&2; exit 3")), {},
                                   {}, CancelToken::process());
    FAIL() << "no error";
  } catch (const ProcessError& error) {
    EXPECT_EQ(error.status(), 3);
    EXPECT_EQ(error.last_stderr(), "because\n");
  }
  clear_staging();
}

INSTANTIATE_TEST_SUITE_P(Ownership, Sandbox, testing::Values(Ownership::Flat, Ownership::Mapped),
                         ownership_name);

TEST(Prerequisites, OfAMachineThatRunsTheseTestsPass) {
  for (const runtime::Prerequisite& check : runtime::check_prerequisites()) {
    if (check.name == "user_namespaces" || check.name == "overlay" || check.name == "karapace-init") {
      EXPECT_EQ(check.status, runtime::CheckStatus::Pass) << check.name << ": " << check.message;
    }
    // Whatever does not pass says what to do.
    EXPECT_EQ(check.status == runtime::CheckStatus::Pass, check.fix.empty()) << check.name;
  }
}

TEST(Helpers, AMissingOneIsNamed) {
  try {
    static_cast<void>(runtime::find_helper("karapace-nothing"));
    FAIL() << "found";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::NotFound);
    EXPECT_NE(error.message().find("karapace-nothing"), std::string::npos);
  }
}

}  // namespace
}  // namespace karapace::test
