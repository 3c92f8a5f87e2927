// SPDX-License-Identifier: Apache-2.0
// Machines that lack something, and an ordinary user on them: few descriptors, a store that cannot be written
// to, in memory, or without hard links, a quota, a bad disk, no current directory.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "cli_support.hpp"

namespace karapace::test {
namespace {

namespace fs = std::filesystem;

class UserMachine : public CliTest {
 protected:
  void SetUp() override { id_ = build_mock("dev", "'git'"); }

  void put(const std::string& name, const std::string& content) const {
    std::ofstream(fs::path(store()) / "env" / id_ / "upper" / name) << content;
  }
  /// A shell script that has the program as "$K".
  RunResult shell(const std::string& script) {
    return run_program("/bin/bash", {"-c", "K=" + karapace_binary() + "; " + script});
  }
  /// In a mount namespace of its own, where the store is only for reading.
  RunResult with_read_only_store(const std::string& script) {
    return run_program("/usr/bin/unshare",
                       {"--user", "--map-current-user", "--mount", "--keep-caps", "/bin/bash", "-c",
                        "set -e; S=" + store() + "; K=" + karapace_binary() +
                            "; mount --bind $S $S; mount -o remount,bind,ro $S; set +e; " + script});
  }
  static bool has_cause_and_fix(const RunResult& result) {
    return result.err.find("error: ") != std::string::npos && result.err.find("  fix: ") != std::string::npos;
  }
  std::string id_;
};

TEST_F(UserMachine, FewDescriptorsAreEnoughOrAreToldWithTheFix) {
  put("file", "content");
  for (const int limit : {6, 8, 12, 20, 64, 100}) {
    for (const std::string words : {"list", "inspect dev", "snapshots dev", "diff dev", "verify-store", "gc",
                                    "commit dev", "build", "exec dev -- true"}) {
      SCOPED_TRACE(fmt::format("ulimit -n {}; karapace {}", limit, words));
      const RunResult result = shell(fmt::format("ulimit -n {}; $K {}", limit, words));
      const bool is_exec = words.starts_with("exec");
      EXPECT_TRUE(result.status == 0 || result.status == (is_exec ? 125 : 1)) << result.status << result.err;
      if (result.status != 0) {
        EXPECT_TRUE(has_cause_and_fix(result)) << result.err;
        EXPECT_NE(result.err.find("ulimit -n"), std::string::npos) << result.err;
      }
    }
  }
  EXPECT_EQ(karapace_json({"verify-store"}).at("failed"), 0);
  karapace_ok({"exec", "dev", "--", "true"});
}

TEST_F(UserMachine, AStoreThatIsOnlyForReadingIsReadWithoutWaiting) {
  put("file", "content");
  const auto before = snapshot();
  const RunResult result = with_read_only_store(
      "for c in 'list' 'list --json' 'inspect dev' 'snapshots dev' 'diff dev' 'verify-store' 'gc --dry-run' "
      "'build' "
      "'export dev -o out.tar'; do timeout 30 $K $c > /dev/null || echo \"$c: $?\"; done");
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(result.out, "") << result.err;
  EXPECT_TRUE(fs::exists(project() + "/out.tar"));
  fs::remove(project() + "/out.tar");
  EXPECT_EQ(snapshot(), before);
}

TEST_F(UserMachine, AStoreThatIsOnlyForReadingIsNotChangedAndTheFixIsTold) {
  put("file", "content");
  const auto before = snapshot();
  for (const std::string words : {"commit dev", "gc", "destroy dev", "rename dev other", "freeze dev",
                                  "archive dev", "verify-store --repair", "exec dev -- true"}) {
    SCOPED_TRACE(words);
    const RunResult result = with_read_only_store("timeout 30 $K " + words);
    EXPECT_EQ(result.status, words.starts_with("exec") ? 125 : 1) << result.err;
    EXPECT_NE(result.err.find("remount it for writing"), std::string::npos) << result.err;
  }
  write_mock_manifest("'git', 'jq'");
  const RunResult built = with_read_only_store("$K build");
  EXPECT_EQ(built.status, 1);
  EXPECT_NE(built.err.find("remount it for writing"), std::string::npos) << built.err;
  write_mock_manifest("'git'");
  EXPECT_EQ(snapshot(), before);
}

TEST_F(UserMachine, AStoreInMemoryWorks) {
  const RunResult result = run_program(
      "/usr/bin/unshare",
      {"--user", "--map-current-user", "--mount", "--keep-caps", "/bin/bash", "-c",
       "set -e; mkdir memory; mount -t tmpfs -o size=64m none memory; export "
       "KARAPACE_STORE=$PWD/memory/store; K=" +
           karapace_binary() +
           "; $K build --name dev > /dev/null; id=$($K inspect dev --json | grep -m1 env_id | cut -d'\"' "
           "-f4); "
           "echo a > $KARAPACE_STORE/env/$id/upper/a; $K commit dev > first; echo b > "
           "$KARAPACE_STORE/env/$id/upper/a; $K restore dev $(head -1 first) > /dev/null; $K archive dev > "
           "/dev/null; $K unarchive dev > /dev/null; $K exec dev -- true; $K gc > /dev/null; $K verify-store "
           "> "
           "/dev/null; $K destroy dev > /dev/null; $K gc"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(result.out.starts_with("freed ")) << result.out;
}

TEST_F(UserMachine, WithoutHardLinksEverythingIsACopyAndWorks) {
  for (const std::string error : {"EPERM", "EMLINK", "EXDEV"}) {
    SCOPED_TRACE(error);
    const RunResult result = shell(
        "set -e; export KARAPACE_STORE=$PWD/store-" + error + "; L() { " + KARAPACE_BIN_DIR +
        "/../tests/karapace-test-without-links " + error +
        " $K \"$@\"; }; L build --name dev > /dev/null; id=$(L inspect dev --json | grep -m1 env_id | cut "
        "-d'\"' "
        "-f4); U=$KARAPACE_STORE/env/$id/upper; echo a > $U/a; L commit dev > first; echo b > $U/a; L "
        "restore dev "
        "$(head -1 first) > /dev/null; L archive dev > /dev/null; L unarchive dev > /dev/null; L diff dev; L "
        "verify-store > /dev/null; L gc --dry-run; L destroy dev > /dev/null; L gc > /dev/null; ls "
        "$KARAPACE_STORE/trees $KARAPACE_STORE/store/objects");
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_NE(result.out.find("nothing would be freed"), std::string::npos) << result.out;
  }
}

TEST_F(UserMachine, AFileSystemThatCannotHoldAStoreIsRefusedBeforeAnythingIsMade) {
  const RunResult result = shell(std::string("export KARAPACE_STORE=$PWD/vfat; ") + KARAPACE_BIN_DIR +
                                 "/../tests/karapace-test-without-links symlinks $K build --name dev");
  EXPECT_EQ(result.status, 1) << result.err;
  EXPECT_NE(result.err.find("cannot hold a store: it has no symbolic links"), std::string::npos)
      << result.err;
  EXPECT_NE(result.err.find("ext4, xfs, btrfs or tmpfs"), std::string::npos) << result.err;
  EXPECT_EQ(result.err.find("bootstrap"), std::string::npos) << result.err;
}

TEST_F(UserMachine, AStoreOfWhichAPartIsMountedFromElsewhereIsRefused) {
  const RunResult result = run_program(
      "/usr/bin/unshare",
      {"--user", "--map-current-user", "--mount", "--keep-caps", "/bin/bash", "-c",
       "export KARAPACE_STORE=$PWD/parts; K=" + karapace_binary() +
           "; $K build --name dev > /dev/null && mount -t tmpfs none parts/trees && $K commit dev"});
  EXPECT_EQ(result.status, 1) << result.err;
  EXPECT_NE(result.err.find("is on another file system than the rest"), std::string::npos) << result.err;
}

TEST_F(UserMachine, WithoutRoomForASingleFileAnEnvironmentCanStillBeDestroyed) {
  const RunResult result = run_program(
      "/usr/bin/unshare", {"--user", "--map-current-user", "--mount", "--keep-caps", "/bin/bash", "-c",
                           "set -e; mkdir full; mount -t tmpfs -o size=64m,nr_inodes=2000 none full; export "
                           "KARAPACE_STORE=$PWD/full/store; K=" +
                               karapace_binary() +
                               "; $K build --name dev > /dev/null; i=0; while : > full/fill-$i; do i=$((i + "
                               "1)); done 2> /dev/null || "
                               "true; ! : > full/one-more; $K destroy dev > /dev/null; $K gc"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(result.out.starts_with("freed ")) << result.out;
}

TEST_F(UserMachine, AQuotaAndABadDiskAreToldWithTheirFixAndLoseNothing) {
  put("file", "content");
  environment_.emplace_back("KARAPACE_FAULT", "3+:EDQUOT");
  const RunResult quota = karapace({"commit", "dev"});
  environment_.back().second = "3+:EIO";
  const RunResult disk = karapace({"commit", "dev"});
  environment_.pop_back();
  EXPECT_EQ(quota.status, 1);
  EXPECT_NE(quota.err.find("The disk quota is used up"), std::string::npos) << quota.err;
  EXPECT_NE(disk.status, 0);
  EXPECT_TRUE(has_cause_and_fix(disk)) << disk.err;
  EXPECT_TRUE(fs::exists(fs::path(store()) / "env" / id_ / "upper/file"));
  EXPECT_TRUE(karapace_json({"commit", "dev"}).at("changed").get<bool>());
  EXPECT_EQ(karapace_json({"verify-store"}).at("failed"), 0);
}

TEST_F(UserMachine, WithoutACurrentDirectoryPathsMustBeAbsolute) {
  for (const std::string words :
       {"inspect", "build", "rebuild", "export dev -o out", "--store relative list"}) {
    SCOPED_TRACE(words);
    const RunResult result = shell("mkdir gone; cd gone; rmdir ../gone; $K " + words);
    EXPECT_EQ(result.status, 1);
    EXPECT_NE(result.err.find("the current directory does not exist any more"), std::string::npos)
        << result.err;
    EXPECT_NE(result.err.find("fix: Change to one that does"), std::string::npos) << result.err;
  }
  EXPECT_EQ(shell("mkdir gone; cd gone; rmdir ../gone; $K list && $K exec dev -- true").status, 0);
}

}  // namespace
}  // namespace karapace::test
