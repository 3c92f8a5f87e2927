// SPDX-License-Identifier: Apache-2.0
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "karapace/store/integrity.hpp"
#include "karapace/store/no_store.hpp"
#include "karapace/store/object_store.hpp"
#include "karapace/store/wal.hpp"
#include "test_store.hpp"

namespace karapace::store {
namespace {

using testing::code_of;
using testing::make_record;
using testing::TempDir;

/// All names below `dir` with what a write would change.
std::vector<std::string> snapshot(const std::string& path) {
  std::vector<std::string> lines;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    struct stat info {};
    if (::lstat(entry.path().c_str(), &info) != 0) throw_errno("lstat");
    lines.push_back(entry.path().string() + " " + std::to_string(info.st_mode) + " " +
                    std::to_string(info.st_ino) + " " + std::to_string(info.st_ctim.tv_sec) + "." +
                    std::to_string(info.st_ctim.tv_nsec));
  }
  std::ranges::sort(lines);
  return lines;
}

TEST(StoreLayout, NewStoreIsPrivateAndHasItsVersion) {
  const TempDir dir;
  const StoreLayout layout = StoreLayout::open_or_create(dir.path() + "/deep/er/store");
  EXPECT_EQ(stat_fd(layout.root()).st_mode & 0777U, 0700U);
  EXPECT_EQ(dir.read("deep/er/store/store/version"), "{\n  \"format_version\": 2\n}");
  for (const char* name :
       {"store/objects", "store/layers", "store/metadata", "store/names", "store/builds", "store/packages",
        "store/downloads", "store/staging", "store/wal", "trees", "env"}) {
    EXPECT_EQ(stat_fd(layout.open_dir(name)).st_mode & 0777U, 0700U) << name;
  }
  EXPECT_NO_THROW(static_cast<void>(StoreLayout::open_or_create(dir.path() + "/deep/er/store")));
}

TEST(StoreLayout, DirectoryOfSomethingElseIsNotFilled) {
  const TempDir dir;
  dir.write("thesis.txt", "years of work");
  const std::vector<std::string> before = snapshot(dir.path());
  EXPECT_EQ(code_of([&] { static_cast<void>(StoreLayout::open_or_create(dir.path())); }),
            ErrorCode::InvalidInput);
  EXPECT_EQ(snapshot(dir.path()), before);
}

TEST(StoreLayout, HalfMadeStoreIsCompleted) {
  const TempDir dir;
  ensure_directory_at(dir.fd(), "store/objects");
  const StoreLayout layout = StoreLayout::open_or_create(dir.path());
  EXPECT_TRUE(exists_at(layout.store(), "version"));
}

TEST(StoreLayout, OtherVersionsAreRefusedByEveryOpenAndNothingIsChanged) {
  const TempDir dir;
  static_cast<void>(StoreLayout::open_or_create(dir.path()));
  for (const auto& [text, code] :
       std::vector<std::pair<std::string, ErrorCode>>{{R"({"format_version": 3})", ErrorCode::Unsupported},
                                                      {R"({"format_version": 1})", ErrorCode::Unsupported},
                                                      {R"({"format_version": "2"})", ErrorCode::Corrupt},
                                                      {"", ErrorCode::Corrupt}}) {
    dir.write("store/version", text);
    const std::vector<std::string> before = snapshot(dir.path());
    EXPECT_EQ(code_of([&] { static_cast<void>(StoreLayout::open_or_create(dir.path())); }), code) << text;
    EXPECT_EQ(code_of([&] { static_cast<void>(StoreLayout::open_existing(dir.path())); }), code) << text;
    EXPECT_EQ(snapshot(dir.path()), before);
  }
  dir.write("store/version", "{ \"format_version\":2, \"more\": true }");
  EXPECT_TRUE(StoreLayout::open_existing(dir.path()));
}

TEST(NoStore, WhatIsThereInsteadDecidesWhatIsTold) {
  const TempDir dir;
  const auto told = [&](const std::string& path) { return code_of([&] { throw_no_store(path); }); };
  EXPECT_EQ(why_no_store(dir.path() + "/missing"), NoStore::NotYet);
  EXPECT_EQ(why_no_store(dir.path()), NoStore::NotYet);
  EXPECT_EQ(told(dir.path()), ErrorCode::NotFound);
  dir.write("file", "of somebody");
  EXPECT_EQ(why_no_store(dir.path()), NoStore::SomethingElse);
  EXPECT_EQ(why_no_store(dir.path() + "/file"), NoStore::SomethingElse);
  EXPECT_EQ(told(dir.path()), ErrorCode::NotFound);

  const std::string path = dir.path() + "/store-root";
  const StoreLayout layout = StoreLayout::open_or_create(path);
  unlink_at(layout.store(), "version");
  EXPECT_EQ(why_no_store(path), NoStore::NotYet) << "it is half made";
  static_cast<void>(ObjectStore(layout).put("content"));
  EXPECT_EQ(why_no_store(path), NoStore::VersionIsLost);
  EXPECT_EQ(told(path), ErrorCode::Corrupt);
  dir.write("store-root/file", "of somebody");
  EXPECT_EQ(why_no_store(path), NoStore::VersionIsLost);
}

TEST(StoreLayout, ADirectoryThatBecomesAStoreIsClosedToOthers) {
  const TempDir dir;
  ASSERT_EQ(::fchmod(dir.fd().get(), 0755), 0);
  static_cast<void>(StoreLayout::open_or_create(dir.path()));
  EXPECT_EQ(stat_fd(dir.fd()).st_mode & 0777U, 0700U);
  // Who opens it later has said so.
  ASSERT_EQ(::fchmod(dir.fd().get(), 0711), 0);
  static_cast<void>(StoreLayout::open_or_create(dir.path()));
  EXPECT_EQ(stat_fd(dir.fd()).st_mode & 0777U, 0711U);
}

TEST(StoreLayout, OpeningForReadingCreatesNothing) {
  const TempDir dir;
  EXPECT_FALSE(StoreLayout::open_existing(dir.path() + "/missing"));
  EXPECT_FALSE(StoreLayout::open_existing(dir.path()));
  EXPECT_TRUE(list_directory(dir.fd()).empty());
}

void read_everything(const StoreLayout& layout) {
  const MetadataStore metadata(layout);
  if (metadata.list().records.size() != 1 || !metadata.find_by_name("dev"))
    throw Error(ErrorCode::Internal, "records");
  if (metadata.find_by_name("missing")) throw Error(ErrorCode::Internal, "names");
  if (ObjectStore(layout).load(hash_bytes("object")) != "object") throw Error(ErrorCode::Internal, "objects");
  if (!LayerStore(layout).list().empty()) throw Error(ErrorCode::Internal, "layers");
  if (PackageStore(layout).contains(std::string(64, 'a'))) throw Error(ErrorCode::Internal, "packages");
  static_cast<void>(verify_store(layout, no_progress(), CancelToken::process()));
}

/// In a child: as an ordinary user, on a mount that is read-only where that can be made.
int read_as_ordinary_user(const std::string& path) noexcept {
  try {
    if (::geteuid() == 0) {
      if (::unshare(CLONE_NEWNS) != 0 || ::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
          ::mount(path.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) != 0 ||
          ::mount("", path.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) != 0) {
        throw_errno("make a read-only mount");
      }
      if (::setresgid(65534, 65534, 65534) != 0 || ::setresuid(65534, 65534, 65534) != 0)
        throw_errno("setuid");
    }
    const std::optional<StoreLayout> layout = StoreLayout::open_existing(path);
    if (!layout) return 2;
    read_everything(*layout);
    return 0;
  } catch (const std::exception& error) {
    std::fputs(error.what(), stderr);
    return 1;
  }
}

TEST(StoreLayout, ReadOnlyStoreCanBeReadByAnybodyWhoMayRead) {
  const TempDir dir;
  const std::string path = dir.path() + "/shared";
  {
    const StoreLayout layout = StoreLayout::open_or_create(path);
    MetadataStore(layout).put(make_record('a', "dev"));
    ObjectStore(layout).put("object");
  }
  const auto set_modes = [&](mode_t directory, mode_t file) {
    if (::chmod(path.c_str(), directory) != 0) throw_errno("chmod");
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
      if (::chmod(entry.path().c_str(), entry.is_directory() ? directory : file) != 0) throw_errno("chmod");
    }
  };
  set_modes(0555, 0444);
  if (::chmod(dir.path().c_str(), 0755) != 0) throw_errno("chmod");
  const std::vector<std::string> before = snapshot(path);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) ::_exit(read_as_ordinary_user(path));
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(snapshot(path), before);
  set_modes(0755, 0644);
}

TEST(StoreLayout, DefaultPathFollowsEnvironmentAndIgnoresRelativeXdg) {
  const auto with = [](const char* store, const char* data, const char* home) {
    const auto set = [](const char* key, const char* value) {
      if (value != nullptr) {
        ::setenv(key, value, 1);
      } else {
        ::unsetenv(key);
      }
    };
    set("KARAPACE_STORE", store);
    set("XDG_DATA_HOME", data);
    set("HOME", home);
  };
  const std::string home = ::getenv("HOME") == nullptr ? "/" : ::getenv("HOME");
  with("/a/b/../c", "/data", "/home/me");
  EXPECT_EQ(default_store_path(), "/a/c");
  with(nullptr, "/data", "/home/me");
  EXPECT_EQ(default_store_path(), "/data/karapace");
  with(nullptr, "relative", "/home/me");
  EXPECT_EQ(default_store_path(), "/home/me/.local/share/karapace");
  with(nullptr, nullptr, nullptr);
  EXPECT_EQ(code_of([] { static_cast<void>(default_store_path()); }), ErrorCode::InvalidInput);
  with(nullptr, nullptr, home.c_str());
}

class Locks : public testing::StoreTest {};

TEST_F(Locks, SharedLocksCoexistAndExclusiveDoesNot) {
  const FileLock first = layout.lock_shared();
  const FileLock second = layout.lock_shared();
  EXPECT_FALSE(layout.try_lock_exclusive());
}

TEST_F(Locks, EnvironmentLockIsExclusiveAndOfOneEnvironmentOnly) {
  const FileLock lock = layout.lock_environment(std::string(64, 'a'));
  EXPECT_FALSE(layout.try_lock_environment(std::string(64, 'a')));
  EXPECT_TRUE(layout.try_lock_environment(std::string(64, 'b')));
}

TEST_F(Locks, LockOfARemovedEnvironmentIsNotHandedOut) {
  const std::string id(64, 'a');
  std::optional<FileLock> holder = layout.lock_environment(id);
  bool removed = false;
  // Called just before the wait: the holder removes the environment and lets go.
  const FileLock lock = layout.lock_environment(id, [&] {
    remove_tree_at(layout.environments(), id);
    holder.reset();
    removed = true;
  });
  EXPECT_TRUE(removed);
  EXPECT_EQ(stat_fd(lock.fd()).st_ino, stat_at(layout.environments(), id + "/.lock")->st_ino);
}

}  // namespace
}  // namespace karapace::store
