// SPDX-License-Identifier: Apache-2.0
// commit, snapshots, restore on the mock backend: real files in a real upper directory.
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "cli_support.hpp"
#include "karapace/base/file_at.hpp"

namespace karapace::test {
namespace {

namespace fs = std::filesystem;

class CliSnapshot : public CliTest {
 protected:
  void SetUp() override { id_ = build_mock("dev", "'git'"); }

  [[nodiscard]] fs::path upper() const { return fs::path(store()) / "env" / id_ / "upper"; }
  void put(const std::string& name, std::string_view content) const {
    fs::create_directories((upper() / name).parent_path());
    fs::remove(upper() / name);  // as an overlay does: never into the file that is there
    std::ofstream(upper() / name) << content;
  }
  [[nodiscard]] bool upper_is_empty() const { return fs::is_empty(upper()); }
  std::string commit(const std::string& message) {
    const Json done = karapace_json({"commit", "dev", "-m", message});
    EXPECT_TRUE(done.at("changed").get<bool>());
    return done.at("snapshot_hash").get<std::string>();
  }
  /// What the environment shows at `name`, without mounting it.
  [[nodiscard]] std::string shown(const std::string& name) {
    const Json record = karapace_json({"inspect", "dev"});
    std::vector<fs::path> stack = {upper()};
    for (auto layer = record.at("snapshot_layers").rbegin(); layer != record.at("snapshot_layers").rend();
         ++layer)
      stack.push_back(fs::path(store()) / "trees" / layer->get<std::string>());
    for (const fs::path& tree : stack) {
      if (fs::is_character_file(tree / name)) break;  // a whiteout
      std::ifstream file(tree / name);
      if (file) return {std::istreambuf_iterator<char>(file), {}};
    }
    return "(missing)";
  }
  std::string id_;
};

TEST_F(CliSnapshot, CommitMovesWhatWasWrittenAndListsIt) {
  put("etc/motd", "hello");
  const std::string first = commit("first");
  EXPECT_TRUE(upper_is_empty());
  EXPECT_EQ(shown("etc/motd"), "hello");
  put("etc/motd", "hello again");
  const std::string second = commit("second");

  const Json list = karapace_json({"snapshots", "dev"});
  EXPECT_EQ(list.at("env_id"), id_);
  ASSERT_EQ(list.at("snapshots").size(), 2U);
  const Json& newest = list.at("snapshots").at(1);
  EXPECT_EQ(newest.at("restore_hash"), second);
  EXPECT_EQ(newest.at("parent"), first);
  EXPECT_EQ(newest.at("message"), "second");
  EXPECT_EQ(newest.at("kind"), "commit");
  EXPECT_TRUE(newest.at("head").get<bool>());
  EXPECT_FALSE(list.at("snapshots").at(0).at("head").get<bool>());
  EXPECT_EQ(karapace({"verify-store"}).status, 0);
}

TEST_F(CliSnapshot, FilesThatTheirOwnerMayNotReadAreCommittedComparedAndKeptSecret) {
  put("etc/locked/inner", "one");
  put("etc/shadow", "two");
  ASSERT_EQ(::chmod((upper() / "etc/shadow").c_str(), 0000), 0);
  ASSERT_EQ(::chmod((upper() / "etc/locked").c_str(), 0000), 0);
  EXPECT_TRUE(karapace_json({"diff", "dev"}).at("has_drift").get<bool>());
  commit("locked");
  EXPECT_TRUE(upper_is_empty());
  const fs::path tree = fs::path(store()) / "trees" /
                        karapace_json({"inspect", "dev"}).at("snapshot_layers").back().get<std::string>();
  struct stat info {};
  ASSERT_EQ(::stat((tree / "etc/locked").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0U);
  ASSERT_EQ(::stat((tree / "etc/shadow").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0U);
  EXPECT_EQ(karapace({"verify-store"}).status, 0);
}

TEST_F(CliSnapshot, NothingToCommitIsSuccessAndNoSnapshot) {
  const Json none = karapace_json({"commit", "dev"});
  EXPECT_FALSE(none.at("changed").get<bool>());
  EXPECT_TRUE(none.at("snapshot_hash").is_null());
  EXPECT_TRUE(karapace_json({"snapshots"}).at("snapshots").empty());
  put("a", "a");
  const std::string first = commit("");
  const auto before = snapshot();
  const Json again = karapace_json({"commit"});
  EXPECT_FALSE(again.at("changed").get<bool>());
  EXPECT_EQ(again.at("snapshot_hash"), first);
  EXPECT_EQ(snapshot(), before);
}

TEST_F(CliSnapshot, RestoreBringsBackContentAndTakesExtrasAway) {
  put("a", "one");
  const std::string first = commit("one");
  put("a", "two");
  put("b", "extra");
  const std::string second = commit("two");
  const Json back = karapace_json({"restore", "dev", first});
  EXPECT_EQ(back.at("restored_snapshot"), first);
  EXPECT_TRUE(back.at("safety_snapshot").is_null());
  EXPECT_EQ(shown("a"), "one");
  EXPECT_EQ(shown("b"), "(missing)");
  karapace_ok({"restore", "dev", second.substr(0, 8)});
  EXPECT_EQ(shown("b"), "extra");
  EXPECT_EQ(karapace({"verify-store"}).status, 0);
}

TEST_F(CliSnapshot, RestoreKeepsWhatWasNotCommitted) {
  put("a", "one");
  const std::string first = commit("one");
  put("a", "not committed");
  const Json back = karapace_json({"restore", "dev", first});
  EXPECT_EQ(shown("a"), "one");
  karapace_ok({"restore", "dev", back.at("safety_snapshot").get<std::string>()});
  EXPECT_EQ(shown("a"), "not committed");
}

TEST_F(CliSnapshot, DiscardLosesWhatWasNotCommittedAndNothingElse) {
  put("a", "one");
  const std::string first = commit("one");
  put("a", "not committed");
  put("deep/er/file", "not committed");
  const Json back = karapace_json({"restore", "--discard", "dev", first});
  EXPECT_TRUE(back.at("safety_snapshot").is_null());
  EXPECT_TRUE(upper_is_empty());
  EXPECT_EQ(shown("a"), "one");
  EXPECT_EQ(karapace_json({"snapshots"}).at("snapshots").size(), 1U);
  EXPECT_TRUE(fs::is_empty(fs::path(store()) / "store/staging"));
}

TEST_F(CliSnapshot, DiffTellsAddedModifiedAndRemoved) {
  EXPECT_FALSE(karapace_json({"diff", "dev"}).at("has_drift").get<bool>());
  put("kept", "same");
  put("changed", "old");
  put("gone", "x");
  commit("one");
  EXPECT_FALSE(karapace_json({"diff"}).at("has_drift").get<bool>());
  put("kept", "same");
  put("changed", "new");
  put("added", "x");
  ASSERT_EQ(::mknod((upper() / "gone").c_str(), S_IFCHR, 0), 0);
  const Json diff = karapace_json({"diff", "dev"});
  EXPECT_EQ(diff.at("env_id"), id_);
  EXPECT_EQ(diff.at("added"), Json({"added"}));
  EXPECT_EQ(diff.at("modified"), Json({"changed"}));
  EXPECT_EQ(diff.at("removed"), Json({"gone"}));
  EXPECT_TRUE(diff.at("has_drift").get<bool>());
  EXPECT_EQ(karapace_ok({"diff", "dev"}).out, "changes in dev:\n  + added\n  ~ changed\n  - gone\n");
  commit("two");
  EXPECT_EQ(shown("gone"), "(missing)");
  EXPECT_FALSE(karapace_json({"diff"}).at("has_drift").get<bool>());
}

TEST_F(CliSnapshot, ManyCommitsStayFewLayersAndEverySnapshotComesBack) {
  std::vector<std::string> ids;
  for (int n = 0; n < 20; ++n) {
    put("counter", std::to_string(n));
    put(fmt::format("file-{}", n), "x");
    if (n == 10) {
      ASSERT_EQ(::mknod((upper() / "file-3").c_str(), S_IFCHR, 0), 0);
    }
    ids.push_back(commit(std::to_string(n)));
  }
  EXPECT_LE(karapace_json({"inspect"}).at("snapshot_layers").size(), 16U);
  EXPECT_EQ(shown("counter"), "19");
  EXPECT_EQ(shown("file-0"), "x");
  EXPECT_EQ(shown("file-3"), "(missing)");
  EXPECT_EQ(karapace({"verify-store"}).status, 0);
  karapace_ok({"gc"});
  for (int n : {0, 7, 19, 12}) {
    karapace_ok({"restore", "dev", ids[static_cast<std::size_t>(n)]});
    EXPECT_EQ(shown("counter"), std::to_string(n));
    EXPECT_EQ(shown(fmt::format("file-{}", n)), "x");
    EXPECT_EQ(shown(fmt::format("file-{}", n + 1)), "(missing)");
  }
}

TEST_F(CliSnapshot, ExportedDirectoryIsWhatTheEnvironmentShows) {
  put("a", "one");
  put("gone", "x");
  const std::string first = commit("one");
  put("sub/b", "not committed");
  ASSERT_EQ(::mknod((upper() / "gone").c_str(), S_IFCHR, 0), 0);
  put("holes", "begin");
  fs::resize_file(upper() / "holes", 64 << 20);
  const Json done = karapace_json({"export", "dev", "--output", "tree"});
  struct stat holes {};
  ASSERT_EQ(::stat((project() + "/tree/holes").c_str(), &holes), 0);
  EXPECT_EQ(holes.st_size, 64 << 20);
  EXPECT_LT(holes.st_blocks, 4096) << "holes stay holes";
  EXPECT_EQ(done.at("format"), "directory");
  EXPECT_EQ(done.at("env_id"), id_);
  EXPECT_EQ(read("tree/a"), "one");
  EXPECT_EQ(read("tree/sub/b"), "not committed");
  EXPECT_EQ(read("tree/.pkg-git"), "git@0.0.0-mock");
  EXPECT_FALSE(exists("tree/gone"));
  EXPECT_EQ(karapace_json({"export", "dev", "--output", "tree"}, 1).at("error").at("code"), "already_exists");
  karapace_ok({"export", first.substr(0, 10), "--output", "snapshot"});
  EXPECT_EQ(read("snapshot/gone"), "x");
  EXPECT_FALSE(exists("snapshot/sub"));
}

TEST_F(CliSnapshot, ExportedArchiveIsABaseWithTheSameFiles) {
  put("a", "one");
  fs::create_hard_link(upper() / "a", upper() / "b");
  fs::create_symlink("a", upper() / "link");
  put(fmt::format("long/{}/\xff name", std::string(120, 'n')), "bytes");
  fs::permissions(upper() / "a", fs::perms(04711));
  put("attributes", "x");
  // The last one is how an overlay keeps what a program inside called user.overlay.opaque.
  for (const char* key : {"user.plain", "user.a b%20=\n", "user.overlay.overlay.opaque"})
    ASSERT_EQ(::setxattr((upper() / "attributes").c_str(), key, "y", 1, 0), 0) << key;
  const std::string snapshot = commit("one");
  karapace_ok({"export", "dev", "--output", "directory"});
  karapace_ok({"export", "dev", "--output", "dev.tar"});
  EXPECT_EQ(karapace({"export", "dev", "--output", "dev.tar"}).status, 1) << "nothing is replaced";
  karapace_ok({"export", snapshot, "--output", "again.tar"});
  EXPECT_TRUE(read("dev.tar") == read("again.tar")) << "the same tree is the same archive";
  write("other.toml",
        "manifest_version = 1\n[base]\nimage = \"rootfs:./dev.tar\"\n[runtime]\nbackend = \"namespace\"\n");
  karapace_ok({"build", "other.toml", "--name", "other"});
  karapace_ok({"export", "other", "--output", "back.tar"});
  EXPECT_TRUE(read("dev.tar") == read("back.tar"));
}

TEST_F(CliSnapshot, ExportedArchiveLeavesOutHoles) {
  const std::uint64_t mib = 1024 * 1024;
  const auto make = [&](const std::string& name, std::uint64_t size, const std::vector<std::uint64_t>& data) {
    put(name, "");
    for (const std::uint64_t at : data) {
      std::fstream file(upper() / name);
      file.seekp(static_cast<std::streamoff>(at));
      file << "data";
    }
    fs::resize_file(upper() / name, size);
  };
  make("begins", 40 * mib, {0, 100, 3 * mib});
  make("ends", 40 * mib + 4, {20 * mib - 2, 40 * mib});
  make("nothing", 40 * mib, {});
  make("short holes", 2 * mib, {0, mib / 2, mib, 3 * mib / 2});
  put("zeros", std::string(5 * mib, '\0'));  // no hole, but the same bytes as one
  karapace_ok({"export", "dev", "--output", "dev.tar"});
  EXPECT_LT(fs::file_size(project() + "/dev.tar"), 3 * mib);
  karapace_ok({"export", "dev", "--output", "directory"});
  fs::create_directory(project() + "/out");
  EXPECT_EQ(run_program("tar", {"-xf", project() + "/dev.tar", "-C", project() + "/out"}).err, "");
  for (const char* name : {"begins", "ends", "nothing", "short holes", "zeros"}) {
    EXPECT_TRUE(read(fmt::format("out/{}", name)) == read(fmt::format("directory/{}", name))) << name;
    EXPECT_EQ(fs::file_size(project() + "/out/" + name), fs::file_size(upper() / name)) << name;
  }
  write("other.toml",
        "manifest_version = 1\n[base]\nimage = \"rootfs:./dev.tar\"\n[runtime]\nbackend = \"namespace\"\n");
  karapace_ok({"build", "other.toml", "--name", "other"});
  karapace_ok({"export", "other", "--output", "back.tar"});
  EXPECT_TRUE(read("dev.tar") == read("back.tar"));
}

TEST_F(CliSnapshot, ExportedArchiveOfReadableNamesIsPlainToGnuTar) {
  // Composed, decomposed, an equivalent sign (U+212B), a noncharacter: nothing is normalised.
  const std::vector<std::string> names = {"caf\u00e9", "cafe\u0301", "\u212b",
                                          "\u00c5",    "\uffff",     std::string(160, 'n')};
  for (const std::string& name : names) put(name, name);
  fs::create_symlink("cafe\u0301", upper() / "link");
  karapace_ok({"export", "dev", "--output", "dev.tar"});
  fs::create_directory(project() + "/out");
  const RunResult tar = run_program("tar", {"-xf", project() + "/dev.tar", "-C", project() + "/out"});
  EXPECT_EQ(tar.err, "") << "GNU tar warns of headers that it does not know";
  for (const std::string& name : names) EXPECT_EQ(read("out/" + name), name);
  EXPECT_EQ(read("out/link"), "cafe\u0301");
  write("other.toml",
        "manifest_version = 1\n[base]\nimage = \"rootfs:./dev.tar\"\n[runtime]\nbackend = \"namespace\"\n");
  karapace_ok({"build", "other.toml", "--name", "other"});
  karapace_ok({"export", "other", "--output", "back.tar"});
  EXPECT_TRUE(read("dev.tar") == read("back.tar")) << "nor by reading it";
}

TEST_F(CliSnapshot, ExportedDeltaHasOciWhiteouts) {
  put("gone", "x");
  commit("one");
  ASSERT_EQ(::mknod((upper() / "gone").c_str(), S_IFCHR, 0), 0);
  put("new", "x");
  const std::string second = commit("two");
  karapace_ok({"export", second, "--delta", "-o", "delta.tar"});
  EXPECT_EQ(run_program("tar", {"-tf", project() + "/delta.tar"}).out, "./\n.wh.gone\nnew\n");
  EXPECT_EQ(karapace({"export", second, "--delta", "-o", "dir"}).status, 2);
  EXPECT_EQ(karapace({"export", "dev", "--delta", "-o", "x.tar"}).status, 2);
}

TEST_F(CliSnapshot, SnapshotIsNamedByItsLayerToo) {
  put("a", "one");
  commit("one");
  const std::string layer = karapace_json({"snapshots"}).at("snapshots").at(0).at("hash").get<std::string>();
  put("a", "two");
  commit("two");
  karapace_ok({"restore", "dev", layer});
  EXPECT_EQ(shown("a"), "one");
}

TEST_F(CliSnapshot, UnknownSnapshotChangesNothing) {
  put("a", "one");
  EXPECT_EQ(karapace({"restore", "dev", "0123456789"}).status, 1);  // makes the lock files
  const auto before = snapshot();
  const Json error = karapace_json({"restore", "dev", "0123456789"}, 1);
  EXPECT_EQ(error.at("error").at("code"), "not_found");
  EXPECT_EQ(karapace({"restore", "dev", "12"}).status, 1) << "too short to be the beginning of one";
  EXPECT_EQ(snapshot(), before);
}

TEST_F(CliSnapshot, MessageThatIsNoTextIsRefused) {
  put("a", "one");
  EXPECT_EQ(karapace({"commit", "dev", "-m", "\xff"}).status, 2);
  EXPECT_EQ(karapace({"commit", "dev", "-m", std::string(5000, 'x')}).status, 2);
  EXPECT_FALSE(upper_is_empty());
}

TEST_F(CliSnapshot, RunningEnvironmentIsNeitherCommittedNorRestored) {
  put("a", "one");
  const std::string first = commit("one");
  put("a", "two");
  Pipe input = make_pipe();
  Pipe output = make_pipe();
  ChildProcess session = spawn({.program = karapace_binary(),
                                .arguments = {"exec", "dev", "--", "sh", "-c", "echo ready; cat"},
                                .environment = environment_,
                                .fds = {{input.read_end, 0}, {output.write_end, 1}},
                                .working_directory = project()});
  input.read_end.reset();
  output.write_end.reset();
  char ready[6] = {};
  ASSERT_EQ(::read(output.read_end.get(), ready, sizeof ready), 6);
  EXPECT_EQ(karapace_json({"commit", "dev"}, 1).at("error").at("code"), "conflict");
  EXPECT_EQ(karapace_json({"restore", "dev", first}, 1).at("error").at("code"), "conflict");
  input.write_end.reset();
  EXPECT_EQ(session.wait(), 0);
  EXPECT_EQ(karapace({"commit", "dev"}).status, 0);
}

/// Runs the command with every call of the fault hook failing once, until nothing is disturbed any more.
template <typename Before, typename After>
void walk_faults(std::vector<std::pair<std::string, std::string>>& environment, const Before& act,
                 const After& check) {
  constexpr int kMaxCalls = 400;
  for (const std::string kind : {"kill", "ENOSPC", "EIO"}) {
    bool complete = false;
    for (int n = 1; !complete && !testing::Test::HasFailure(); ++n) {
      ASSERT_LT(n, kMaxCalls);
      SCOPED_TRACE(fmt::format("fault {}:{}", n, kind));
      environment.emplace_back("KARAPACE_FAULT", fmt::format("{}:{}", n, kind));
      complete = act(n);
      environment.pop_back();
      check(n, complete);
    }
  }
}

TEST_F(CliSnapshot, CommitThatDiesAnywhereLosesNothing) {
  std::size_t snapshots = 0;
  walk_faults(
      environment_,
      [&](int n) {
        put("a", std::to_string(n));
        return karapace({"commit", "dev"}).status == 0;
      },
      [&](int n, bool done) {
        const std::size_t before = snapshots;
        // This opens the store for writing, so it recovers first.
        const RunResult recovery = karapace({"-v", "stop", "dev"});
        EXPECT_EQ(recovery.status, 1);
        snapshots = karapace_json({"snapshots", "dev"}).at("snapshots").size();
        EXPECT_EQ(shown("a"), std::to_string(n));
        EXPECT_EQ(upper_is_empty(), snapshots == before + 1);
        if (done) {
          EXPECT_EQ(snapshots, before + 1);
        }
        EXPECT_TRUE(fs::is_empty(fs::path(store()) / "store/staging"));
        EXPECT_TRUE(fs::is_empty(fs::path(store()) / "store/wal")) << recovery.err;
      });
  EXPECT_EQ(karapace({"verify-store"}).status, 0) << karapace({"verify-store"}).out;
}

TEST_F(CliSnapshot, RestoreThatDiesAnywhereIsDoneOrNot) {
  put("a", "committed");
  const std::string first = commit("one");
  walk_faults(
      environment_,
      [&](int /*n*/) {
        put("a", "not committed");
        return karapace({"restore", "--discard", "dev", first}).status == 0;
      },
      [&](int /*n*/, bool done) {
        EXPECT_EQ(karapace({"stop", "dev"}).status, 1);
        EXPECT_EQ(shown("a"), upper_is_empty() ? "committed" : "not committed");
        if (done) {
          EXPECT_TRUE(upper_is_empty());
        }
        EXPECT_TRUE(fs::is_empty(fs::path(store()) / "store/staging"));
      });
  EXPECT_EQ(karapace({"verify-store"}).status, 0);
}

TEST_F(CliSnapshot, DestroyTakesTheListOfSnapshotsWithIt) {
  put("a", "one");
  commit("one");
  karapace_ok({"destroy", "--yes", "dev"});
  EXPECT_TRUE(fs::is_empty(fs::path(store()) / "store/snapshots"));
}

}  // namespace
}  // namespace karapace::test
