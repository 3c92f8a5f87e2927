// SPDX-License-Identifier: Apache-2.0
#include "karapace/base/durable.hpp"

#include <signal.h>

#include <algorithm>
#include <functional>

#include "karapace/base/fault.hpp"
#include "tests/support.hpp"

namespace karapace {
namespace {

using test::read_file;
using test::TempDir;
using test::write_file;

bool has_temporaries(FdRef dir) {
  return std::ranges::any_of(list_directory(dir), [](const DirectoryEntry& entry) {
    return entry.name.starts_with(kTemporaryPrefix);
  });
}

TEST(ReplaceFile, CreatesAndReplacesWithTheExactMode) {
  const TempDir dir;
  const test::Umask umask(0777);
  replace_file(dir.fd(), "file", "one");
  EXPECT_EQ(0600U, stat_at(dir.fd(), "file")->st_mode & 07777U);
  replace_file(dir.fd(), "file", "two", 0644);
  EXPECT_EQ("two", read_file(dir.fd(), "file"));
  EXPECT_EQ(0644U, stat_at(dir.fd(), "file")->st_mode & 07777U);
  EXPECT_FALSE(has_temporaries(dir.fd()));
}

TEST(ReplaceFile, AReaderOfTheOldFileKeepsItsContent) {
  const TempDir dir;
  replace_file(dir.fd(), "file", "old");
  const UniqueFd reader = open_beneath(dir.fd(), "file", O_RDONLY);
  replace_file(dir.fd(), "file", "new");
  EXPECT_EQ("old", read_all(reader, 10));
}

TEST(ReplaceFile, ReplacesASymlinkAndNotItsTarget) {
  const TempDir dir;
  write_file(dir.fd(), "target", "kept");
  symlink_at("target", dir.fd(), "file");
  replace_file(dir.fd(), "file", "new");
  EXPECT_EQ("kept", read_file(dir.fd(), "target"));
  EXPECT_EQ("new", read_file(dir.fd(), "file"));
}

TEST(ReplaceFile, WorksInASubdirectoryAndThroughAPathDescriptor) {
  const TempDir dir;
  make_directory_at(dir.fd(), "sub");
  replace_file(open_path(dir.path(), O_PATH | O_DIRECTORY), "sub/file", "x");
  EXPECT_EQ("x", read_file(dir.fd(), "sub/file"));
  EXPECT_EQ(1U, list_directory(dir.fd()).size());
}

TEST(ReplaceFile, FailureNamesTheFileAndLeavesNothing) {
  const TempDir dir;
  make_directory_at(dir.fd(), "directory");
  try {
    replace_file(dir.fd(), "directory", "x");
    FAIL();
  } catch (const Error& error) {
    EXPECT_TRUE(error.message().starts_with("write \"directory\": ")) << error.what();
  }
  EXPECT_FALSE(has_temporaries(dir.fd()));
}

TEST(PublishObject, AnExistingFileStays) {
  const TempDir dir;
  EXPECT_EQ(Published::New, publish_object(dir.fd(), "object", "one"));
  EXPECT_EQ(Published::AlreadyThere, publish_object(dir.fd(), "object", "two"));
  EXPECT_EQ("one", read_file(dir.fd(), "object"));
  EXPECT_EQ(0444U, stat_at(dir.fd(), "object")->st_mode & 07777U);
  EXPECT_FALSE(has_temporaries(dir.fd()));
}

TEST(PublishObject, OfManyAtOnceExactlyOneIsNew) {
  const TempDir dir;
  constexpr int kProcesses = 8;
  Pipe start = make_pipe();
  Pipe won = make_pipe();
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t pid = ::fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      start.write_end.reset();
      char ignored = 0;
      if (::read(start.read_end.get(), &ignored, 1) != 0) ::_exit(2);  // all wait for its end
      int status = 1;
      try {
        if (publish_object(dir.fd(), "object", std::to_string(i)) == Published::New)
          write_all(won.write_end, "x");
        status = 0;
      } catch (const std::exception&) {
      }
      ::_exit(status);
    }
    children.push_back(pid);
  }
  start.write_end.reset();
  for (const pid_t pid : children) {
    int status = -1;
    ASSERT_EQ(pid, ::waitpid(pid, &status, 0));
    EXPECT_EQ(0, status);
  }
  won.write_end.reset();
  EXPECT_EQ("x", read_all(won.read_end, 100));
  EXPECT_FALSE(has_temporaries(dir.fd()));
}

#ifdef KARAPACE_FAULT_HOOK

/// Runs `operation` with the fault hook at 1, 2, 3 ... until it is not reached any more. `spec` is what comes
/// after the number; `check` runs after each.
void walk(const std::string& spec, const std::function<void()>& prepare,
          const std::function<void()>& operation, const std::function<void(bool failed)>& check) {
  for (unsigned long n = 1;; ++n) {
    ASSERT_LT(n, 100U) << "the walk does not end";
    prepare();
    fault::arm(std::to_string(n) + spec);
    bool failed = false;
    try {
      operation();
    } catch (const SystemError&) {
      failed = true;
    }
    const bool reached = fault::calls() >= n;
    fault::arm("");
    SCOPED_TRACE(std::to_string(n) + spec);
    EXPECT_EQ(reached, failed) << "a failed system call was not reported, or a success was";
    check(failed);
    if (!reached) {
      EXPECT_GT(n, 5U) << "the hook is not asked";
      return;
    }
  }
}

TEST(DurableFault, ReplaceFileWritesSyncsAndOnlyThenRenames) {
  const TempDir dir;
  fault::arm("");
  replace_file(dir.fd(), "file", "x");
  EXPECT_EQ("open write chmod fsync close rename fsync", fault::trace());
}

TEST(DurableFault, AnExistingObjectIsSyncedBeforeItIsPromised) {
  const TempDir dir;
  publish_object(dir.fd(), "object", "x");
  fault::arm("");
  publish_object(dir.fd(), "object", "x");
  EXPECT_EQ("fsync", fault::trace());
}

TEST(DurableFault, WhicheverCallFailsTheFileIsOldOrNewAndNothingIsLeft) {
  const TempDir dir;
  for (const char* error_name : {":ENOSPC", ":EIO"}) {
    walk(
        error_name, [&] { write_file(dir.fd(), "file", "old"); },
        [&] { replace_file(dir.fd(), "file", "new"); },
        [&](bool failed) {
          const std::string content = read_file(dir.fd(), "file");
          EXPECT_TRUE(content == "new" || (failed && content == "old")) << content;
          EXPECT_FALSE(has_temporaries(dir.fd()));
        });
  }
}

TEST(DurableFault, WhenEverythingFailsFromThereOnTheFileIsStillOldOrNew) {
  const TempDir dir;
  walk(
      "+:EIO", [&] { write_file(dir.fd(), "file", "old"); }, [&] { replace_file(dir.fd(), "file", "new"); },
      [&](bool failed) {
        const std::string content = read_file(dir.fd(), "file");
        EXPECT_TRUE(content == "new" || (failed && content == "old")) << content;
      });
}

TEST(DurableFault, AnObjectIsAbsentOrCompleteWhicheverCallFails) {
  const TempDir dir;
  walk(
      ":ENOSPC", [&] { try_unlink_at(dir.fd(), "object"); },
      [&] { publish_object(dir.fd(), "object", "content"); },
      [&](bool failed) {
        const auto content = try_read_file_at(dir.fd(), "object", 100);
        EXPECT_TRUE(content == "content" || (failed && !content));
        EXPECT_FALSE(has_temporaries(dir.fd()));
      });
}

TEST(DurableFault, KilledAnywhereTheFileIsOldOrNewAndTheNextWriteSucceeds) {
  const TempDir dir;
  for (int n = 1;; ++n) {
    ASSERT_LT(n, 100);
    write_file(dir.fd(), "file", "old");
    const int status = test::status_in_child([&] {
      fault::arm(std::to_string(n) + ":kill");
      replace_file(dir.fd(), "file", "new");
    });
    const std::string content = read_file(dir.fd(), "file");
    EXPECT_TRUE(content == "old" || content == "new") << n << ": " << content;
    replace_file(dir.fd(), "file", "next");
    EXPECT_EQ("next", read_file(dir.fd(), "file"));
    if (WIFEXITED(status)) {
      EXPECT_EQ(0, WEXITSTATUS(status));
      EXPECT_EQ("new", content);
      EXPECT_EQ(8, n) << "seven calls, so seven places to die";
      return;
    }
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  }
}

TEST(DurableFault, RemoveTreeReportsAFailureAndFinishesTheNextTime) {
  const TempDir dir;
  walk(
      ":EIO",
      [&] {
        ensure_directory_at(dir.fd(), "tree/a/b");
        write_file(dir.fd(), "tree/a/file", "x");
        write_file(dir.fd(), "tree/a/b/file", "x");
      },
      [&] {
        remove_tree_at(dir.fd(), "tree");
        sync_directory(dir.fd());
      },
      [&](bool failed) {
        remove_tree_at(dir.fd(), "tree");
        EXPECT_FALSE(exists_at(dir.fd(), "tree")) << failed;
      });
}

#endif

}  // namespace
}  // namespace karapace
