// SPDX-License-Identifier: Apache-2.0
// The engine's lifecycle on the mock backend: no kernel features, real files, real records.
#include "karapace/core/engine.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "../impl.hpp"
#include "karapace/base/clock.hpp"
#include "karapace/base/digest.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/fault.hpp"
#include "karapace/store/layer.hpp"

namespace karapace::core {
namespace {

namespace fs = std::filesystem;

std::string read_text(const fs::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

class EngineTest : public testing::Test {
 public:
  EngineTest(const EngineTest&) = delete;
  EngineTest& operator=(const EngineTest&) = delete;
  EngineTest(EngineTest&&) = delete;
  EngineTest& operator=(EngineTest&&) = delete;
  ~EngineTest() override {
    std::error_code ignored;
    fs::remove_all(directory_, ignored);
  }

 protected:
  EngineTest() : directory_(fs::temp_directory_path() / ("karapace-engine-" + random_hex(8))) {
    fs::create_directories(directory_ / "project");
  }

  std::string write_manifest(const std::string& name, const std::string& packages,
                             const std::string& more = {}, const std::string& image = "rolling") {
    const fs::path path = directory_ / "project" / name;
    std::ofstream(path) << "manifest_version = 1\n[base]\nimage = \"" << image << "\"\n[system]\npackages = ["
                        << packages << "]\n[runtime]\nbackend = \"mock\"\n"
                        << more;
    return path.string();
  }
  Engine engine(Access access = Access::Write) {
    return Engine((directory_ / "store").string(), access, no_progress(), cancel_);
  }
  BuildResult build(const std::string& manifest, const BuildOptions& options = {}) {
    return engine().build(manifest, options);
  }
  template <typename F>
  ErrorCode code_of(F&& body) {
    try {
      body();
    } catch (const Error& error) {
      last_message_ = error.what();
      return error.code();
    }
    ADD_FAILURE() << "nothing was thrown";
    return ErrorCode::Internal;
  }

  fs::path directory_;
  CancelToken& cancel_ = CancelToken::process();
  std::string last_message_;
};

TEST_F(EngineTest, BuildWritesLockAndRecordAndIsBuilt) {
  const auto result = build(write_manifest("karapace.toml", "'git', 'curl'"));
  EXPECT_TRUE(fs::exists(directory_ / "project" / "karapace.lock"));
  EXPECT_EQ(result.short_id, result.env_id.substr(0, 12));
  const auto list = engine(Access::Read).list();
  ASSERT_EQ(list.environments.size(), 1U);
  EXPECT_EQ(list.environments[0].state, store::EnvState::Built);
  EXPECT_EQ(list.environments[0].record.dependency_layers.size(), 1U);
}

TEST_F(EngineTest, StoreOfSomebodyElseIsNotWrittenTo) {
  const auto manifest = write_manifest("karapace.toml", "");
  build(manifest);
  require_owner(engine().store(), ::geteuid());
  EXPECT_EQ(code_of([&] { require_owner(engine().store(), ::geteuid() + 1); }), ErrorCode::PermissionDenied);
  // Only root can make it so, and only root would be let in.
  if (::geteuid() != 0) return;
  ASSERT_EQ(::chown((directory_ / "store" / "store").c_str(), 12345, 12345), 0);
  EXPECT_EQ(code_of([&] { build(manifest); }), ErrorCode::PermissionDenied);
  EXPECT_NE(last_message_.find("user 12345"), std::string::npos) << last_message_;
  EXPECT_EQ(engine(Access::Read).list().environments.size(), 1U);
}

TEST_F(EngineTest, SecondBuildChangesNothing) {
  const auto manifest = write_manifest("karapace.toml", "'git'");
  const auto first = build(manifest);
  const auto lock_time = fs::last_write_time(directory_ / "project" / "karapace.lock");
  const auto second = build(manifest);
  EXPECT_TRUE(second.up_to_date);
  EXPECT_FALSE(second.lock_changed);
  EXPECT_EQ(first.env_id, second.env_id);
  EXPECT_EQ(lock_time, fs::last_write_time(directory_ / "project" / "karapace.lock"));
}

TEST_F(EngineTest, ABuildTakesAnotherHomeOfTheManifestThoughTheIdentityStays) {
  const auto first = build(write_manifest("dev.toml", "'git'", "home = \"shared\"\n"));
  const auto hash = [&] { return engine().find_environment("dev").record.manifest_hash; };
  const std::string shared = hash();
  const auto manifest = write_manifest("dev.toml", "'git'");
  EXPECT_EQ(build(manifest).env_id, first.env_id);
  EXPECT_NE(hash(), shared);
  EXPECT_TRUE(build(manifest).up_to_date);
}

TEST_F(EngineTest, SameManifestInAnotherStoreGivesTheSameIdAndLayers) {
  const auto manifest = write_manifest("karapace.toml", "'git', 'make'");
  const auto first = build(manifest);
  fs::remove(directory_ / "project" / "karapace.lock");
  Engine other((directory_ / "elsewhere").string(), Access::Write, no_progress(), cancel_);
  const auto second = other.build(manifest, {});
  EXPECT_EQ(first.env_id, second.env_id);
  EXPECT_EQ(first.base_layer, second.base_layer);
  EXPECT_EQ(first.dependency_layers, second.dependency_layers);
}

TEST_F(EngineTest, PolicyChangeGivesANewIdAndSharesEveryLayer) {
  const auto first = build(write_manifest("karapace.toml", "'git'"));
  const auto second = build(write_manifest("karapace.toml", "'git'", "[hardware]\ngpu = true\n"));
  EXPECT_NE(first.env_id, second.env_id);
  EXPECT_EQ(first.base_layer, second.base_layer);
  EXPECT_EQ(first.dependency_layers, second.dependency_layers);
}

TEST_F(EngineTest, AddedPackageKeepsTheOthersInTheLock) {
  const auto manifest = write_manifest("karapace.toml", "'git'");
  build(manifest);
  const std::string before = read_text(directory_ / "project" / "karapace.lock");
  const auto second = build(write_manifest("karapace.toml", "'git', 'jq'"));
  EXPECT_TRUE(second.lock_changed);
  const auto lock = load_lock(second.lock_path);
  ASSERT_TRUE(lock);
  EXPECT_EQ(lock->resolved_packages.size(), 2U);
  EXPECT_NE(before, read_text(second.lock_path));
}

TEST_F(EngineTest, LockedBuildRefusesAChangedManifestAndChangesNothing) {
  build(write_manifest("karapace.toml", "'git'"));
  const std::string before = read_text(directory_ / "project" / "karapace.lock");
  const auto manifest = write_manifest("karapace.toml", "'git', 'jq'");
  BuildOptions locked;
  locked.locked = true;
  EXPECT_EQ(code_of([&] { build(manifest, locked); }), ErrorCode::InvalidInput);
  EXPECT_NE(last_message_.find("jq"), std::string::npos) << last_message_;
  EXPECT_EQ(before, read_text(directory_ / "project" / "karapace.lock"));
  EXPECT_EQ(engine().list().environments.size(), 1U);
}

TEST_F(EngineTest, LockedBuildWithoutALockIsRefused) {
  BuildOptions locked;
  locked.locked = true;
  EXPECT_EQ(code_of([&] { build(write_manifest("karapace.toml", "'git'"), locked); }),
            ErrorCode::InvalidInput);
  EXPECT_FALSE(fs::exists(directory_ / "store" / "store" / "metadata"));
}

TEST_F(EngineTest, LockedBuildWithoutTheDigestOfItsPackagesIsRefusedAlsoIfTheStoreHasThem) {
  const auto manifest = write_manifest("karapace.toml", "'git'");
  const std::string path = build(manifest).lock_path;
  const std::string complete = read_text(path);
  LockFile lock = load_lock(path).value();
  lock.dependency_layer.clear();
  seal_identity(lock);
  save_lock(path, lock);
  const std::string fetched = read_text(path);
  BuildOptions locked;
  locked.locked = true;
  for (const std::string place : {"store", "nothing"}) {
    EXPECT_EQ(code_of([&] { build(manifest, locked); }), ErrorCode::InvalidInput) << place;
    EXPECT_NE(last_message_.find("dependency layer"), std::string::npos) << last_message_;
    EXPECT_EQ(read_text(path), fetched);
    fs::remove_all(directory_ / "store");
  }
  EXPECT_FALSE(fs::exists(directory_ / "store")) << "nothing was done";
  EXPECT_TRUE(build(manifest).lock_changed);
  EXPECT_EQ(read_text(path), complete);
  EXPECT_NO_THROW(build(manifest, locked));
}

TEST_F(EngineTest, LockedBuildWithoutPackagesNeedsNoDigestOfThem) {
  const auto manifest = write_manifest("karapace.toml", "");
  build(manifest);
  fs::remove_all(directory_ / "store");
  BuildOptions locked;
  locked.locked = true;
  EXPECT_FALSE(build(manifest, locked).lock_changed);
}

TEST_F(EngineTest, LockOfAnotherManifestIsRefusedUntilUpdateIsAsked) {
  build(write_manifest("a.toml", "'git'", {}, "rolling"));
  const auto manifest = write_manifest("b.toml", "'git'", {}, "debian/12");
  fs::copy_file(directory_ / "project" / "a.lock", directory_ / "project" / "b.lock");
  EXPECT_EQ(code_of([&] { build(manifest); }), ErrorCode::InvalidInput);
  BuildOptions update;
  update.update = true;
  EXPECT_NO_THROW(build(manifest, update));
}

TEST_F(EngineTest, LockEditedByHandIsRefused) {
  const auto manifest = write_manifest("karapace.toml", "'git'");
  build(manifest);
  std::string text = read_text(directory_ / "project" / "karapace.lock");
  const auto position = text.find("0.0.0-mock");
  ASSERT_NE(position, std::string::npos);
  text.replace(position, 10, "0.0.1-mock");
  std::ofstream(directory_ / "project" / "karapace.lock") << text;
  EXPECT_EQ(code_of([&] { build(manifest); }), ErrorCode::InvalidInput);
}

TEST_F(EngineTest, TwoManifestsSideBySideHaveTheirOwnLocks) {
  const auto a = build(write_manifest("a.toml", "'git'"));
  const auto b = build(write_manifest("b.toml", "'curl'"));
  EXPECT_NE(a.env_id, b.env_id);
  EXPECT_EQ(load_lock((directory_ / "project" / "a.lock").string())->env_id, a.env_id);
  EXPECT_EQ(load_lock((directory_ / "project" / "b.lock").string())->env_id, b.env_id);
  EXPECT_EQ(engine().rebuild((directory_ / "project" / "b.toml").string(), {}).env_id, b.env_id);
  EXPECT_EQ(engine().list().environments.size(), 2U);
}

TEST_F(EngineTest, NameComesFromTheManifestFileAndMovesToTheNewestBuild) {
  const auto first = build(write_manifest("dev.toml", "'git'"));
  EXPECT_EQ(first.name, "dev");
  const auto second = build(write_manifest("dev.toml", "'git', 'jq'"));
  EXPECT_EQ(second.name, "dev");
  EXPECT_EQ(engine().find_environment("dev").record.env_id, second.env_id);
  EXPECT_FALSE(engine().find_environment(first.env_id).record.name);
}

TEST_F(EngineTest, NameTakenByAnotherManifestIsRefusedBeforeAnyWork) {
  BuildOptions named;
  named.name = "shared-name";
  build(write_manifest("a.toml", "'git'"), named);
  EXPECT_EQ(code_of([&] { build(write_manifest("b.toml", "'curl'"), named); }), ErrorCode::InvalidInput);
  EXPECT_FALSE(fs::exists(directory_ / "project" / "b.lock"));
}

TEST_F(EngineTest, RebuildReplacesTheOldEnvironmentAndCarriesNameAndHome) {
  const auto first = build(write_manifest("dev.toml", "'git'"));
  std::ofstream(directory_ / "store" / "env" / first.env_id / "home" / "notes.txt") << "mine";
  const auto second = engine().rebuild(write_manifest("dev.toml", "'git', 'jq'"), {});
  EXPECT_EQ(second.name, "dev");
  EXPECT_EQ(engine().list().environments.size(), 1U);
  EXPECT_EQ(read_text(directory_ / "store" / "env" / second.env_id / "home" / "notes.txt"), "mine");
}

TEST_F(EngineTest, RebuildOfAnUnchangedManifestKeepsWhatTheUserChanged) {
  const auto manifest = write_manifest("dev.toml", "'git'");
  const auto first = build(manifest);
  const auto drift = directory_ / "store" / "env" / first.env_id / "upper" / "drift";
  std::ofstream(drift) << "work";
  EXPECT_EQ(engine().rebuild(manifest, {}).env_id, first.env_id);
  EXPECT_EQ(read_text(drift), "work");
}

TEST_F(EngineTest, DestroyRemovesRecordAndDirectoryAndBuildBringsTheSameIdBack) {
  const auto manifest = write_manifest("dev.toml", "'git'");
  const auto first = build(manifest);
  {
    auto e = engine();
    e.destroy(e.find_environment("dev"));
  }
  EXPECT_FALSE(fs::exists(directory_ / "store" / "env" / first.env_id));
  EXPECT_TRUE(engine().list().environments.empty());
  EXPECT_EQ(build(manifest).env_id, first.env_id);
}

#ifdef KARAPACE_FAULT_HOOK
TEST_F(EngineTest, DestroyMakesSpaceOnAFullDisk) {
  bool nameless = false;  // as rebuild leaves what it destroys
  const auto destroy = [&](const std::string& fault) {
    const std::string id = build(write_manifest("dev.toml", "'git'")).env_id;
    std::ofstream(directory_ / "store" / "env" / id / "upper" / "file") << "committed";
    engine().commit(engine().find_environment("dev"), "a snapshot");
    if (nameless) build(write_manifest("dev.toml", "'git', 'curl'"));
    auto e = engine();
    const auto environment = e.find_environment(id);
    fault::arm(fault);
    std::optional<ErrorCode> refused;
    try {
      e.destroy(environment);
    } catch (const Error& error) {
      refused = error.code();
    }
    std::istringstream trace(fault::trace());
    fault::arm("");
    const bool record_stays = engine().list().environments.size() > (nameless ? 1U : 0U);
    EXPECT_EQ(fs::exists(directory_ / "store" / "env" / id), record_stays) << fault;
    EXPECT_EQ(fs::exists(directory_ / "store" / "store" / "snapshots" / id), record_stays) << fault;
    EXPECT_TRUE(!refused || refused == ErrorCode::NoSpace) << fault;
    EXPECT_TRUE(refused || !record_stays) << fault;
    if (record_stays) engine().destroy(engine().find_environment(id));
    if (nameless) engine().destroy(engine().find_environment("dev"));
    return std::pair(std::vector<std::string>(std::istream_iterator<std::string>(trace), {}), !refused);
  };
  for (const bool without : {false, true}) {
    nameless = without;
    const std::vector<std::string> calls = destroy("1000000:ENOSPC").first;
    int tried = 0;
    for (std::size_t i = 0; i < calls.size(); ++i) {
      const std::string call = std::to_string(i + 1);
      destroy(call + "+:ENOSPC");
      // What needs a block, and that it is refused once: removing the record may free one.
      if (calls[i] != "write" && calls[i] != "mkdir") continue;
      EXPECT_TRUE(destroy(call + ":ENOSPC").second) << call;
      ++tried;
    }
    EXPECT_GE(tried, 2);
  }
}

TEST_F(EngineTest, ACommitThatDiedWhileWeWaitedIsFinishedBeforeAnythingElseChanges) {
  const std::string id = build(write_manifest("dev.toml", "'git'")).env_id;
  // It has looked for what dead operations left when there was nothing.
  auto waiting = engine();
  const auto environment = waiting.find_environment("dev");
  const fs::path file = directory_ / "store" / "env" / id / "upper" / "file";
  bool done = false;
  for (int call = 1; !done; ++call) {
    const std::string text = "text " + std::to_string(call);
    std::ofstream(file) << text;
    auto dying = engine();
    const auto same = dying.find_environment("dev");
    fault::arm(std::to_string(call) + "+:EIO");
    try {
      dying.commit(same, "it may die");
      done = true;
    } catch (const Error&) {
      // Nothing can be taken back or finished now, as if the process had been ended.
    }
    fault::arm("");
    if (call % 2 == 0) {
      waiting.rename(environment, "name" + std::to_string(call));
      waiting.rename(environment, "dev");
    } else {
      waiting.freeze(environment);
      waiting.thaw(environment);
    }
    EXPECT_TRUE(read_text(file) == text ||
                fs::exists(directory_ / "store" / "store" / "objects" / hash_bytes(text).hex()))
        << call;
    const auto report = engine().verify_store();
    for (const auto& fault : report.failed)
      ADD_FAILURE() << call << ": " << fault.kind << " " << fault.reason;
    ASSERT_FALSE(HasFailure());
    ASSERT_LT(call, 1000);
  }
}
#endif

/// Cancels as soon as something of this step is done.
class CancelAt final : public ProgressSink {
 public:
  CancelAt(std::string step, CancelToken& cancel) : step_(std::move(step)), cancel_(cancel) {}
  void step(std::string_view name, std::string_view /*detail*/) override { is_it_ = name == step_; }
  void advance(std::uint64_t /*done*/, std::uint64_t /*total*/, std::string_view /*unit*/) override {
    if (is_it_) cancel_.request(SIGINT);
  }
  void note(std::string_view /*text*/) override {}

 private:
  std::string step_;
  CancelToken& cancel_;
  bool is_it_ = false;
};

TEST_F(EngineTest, AGcThatIsCancelledTellsWhatItRemoved) {
  const auto result = build(write_manifest("dev.toml", "'git'"));
  auto before = engine();
  before.destroy(before.find_environment("dev"));
  CancelAt sink("gc", cancel_);
  Engine collecting((directory_ / "store").string(), Access::Write, sink, cancel_);
  try {
    collecting.gc({.mode = GcMode::Collect});
    FAIL() << "it was not cancelled";
  } catch (const Cancelled& cancelled) {
    EXPECT_EQ(cancelled.signal_number(), SIGINT);
    const std::string_view told = cancelled.what();
    EXPECT_NE(told.find("the next karapace gc"), std::string_view::npos) << told;
    EXPECT_FALSE(told.starts_with("cancelled: 0 of")) << told;
  }
  cancel_.reset();
  engine().gc({.mode = GcMode::Collect});
  EXPECT_TRUE(fs::is_empty(directory_ / "store" / "trees"));
}

TEST_F(EngineTest, EnvironmentIsFoundByIdShortIdPrefixAndNameButNotByAShortPrefix) {
  const auto result = build(write_manifest("dev.toml", "'git'"));
  auto e = engine(Access::Read);
  for (const std::string& reference : {result.env_id, result.short_id, result.env_id.substr(0, 4),
                                       std::string("dev"), directory_.string() + "/project/dev.toml"}) {
    EXPECT_EQ(e.find_environment(reference).record.env_id, result.env_id) << reference;
  }
  EXPECT_EQ(code_of([&] { (void)e.find_environment(result.env_id.substr(0, 3)); }), ErrorCode::NotFound);
  EXPECT_EQ(code_of([&] { (void)e.find_environment("dew"); }), ErrorCode::NotFound);
}

TEST_F(EngineTest, RenameIsSeenAndAConflictIsRefused) {
  build(write_manifest("a.toml", "'git'"));
  build(write_manifest("b.toml", "'curl'"));
  auto e = engine();
  EXPECT_EQ(e.rename(e.find_environment("a"), "alpha").record.name, "alpha");
  EXPECT_NO_THROW((void)e.find_environment("alpha"));
  EXPECT_EQ(code_of([&] { (void)e.find_environment("a"); }), ErrorCode::NotFound);
  EXPECT_NE(code_of([&] { e.rename(e.find_environment("b"), "alpha"); }), ErrorCode::Internal);
}

TEST_F(EngineTest, ReadingAMissingStoreCreatesNothing) {
  EXPECT_TRUE(engine(Access::Read).list().environments.empty());
  EXPECT_FALSE(fs::exists(directory_ / "store"));
  EXPECT_EQ(code_of([&] { (void)engine(Access::Write).find_environment("dev"); }), ErrorCode::NotFound);
  EXPECT_FALSE(fs::exists(directory_ / "store"));
}

TEST_F(EngineTest, OfflineBuildFromALockWorksInAnEmptyStoreOfTheMock) {
  const auto manifest = write_manifest("dev.toml", "'git'");
  const auto first = build(manifest);
  fs::remove_all(directory_ / "store");
  BuildOptions options;
  options.offline = true;
  options.locked = true;
  EXPECT_EQ(build(manifest, options).env_id, first.env_id);
}

TEST_F(EngineTest, InitRecordsADefinedEnvironmentAndWritesNoLock) {
  const auto manifest = write_manifest("dev.toml", "'git'");
  const auto view = engine().init(manifest);
  EXPECT_EQ(view.state, store::EnvState::Defined);
  EXPECT_FALSE(fs::exists(directory_ / "project" / "dev.lock"));
  EXPECT_EQ(code_of([&] {
              auto e = engine();
              (void)e.prepare_session(e.find_environment(view.record.env_id), {});
            }),
            ErrorCode::Conflict);
}

TEST_F(EngineTest, BuildLeavesNothingInStagingOrJournal) {
  build(write_manifest("dev.toml", "'git'"));
  EXPECT_TRUE(fs::is_empty(directory_ / "store" / "store" / "staging"));
  EXPECT_TRUE(fs::is_empty(directory_ / "store" / "store" / "wal"));
  EXPECT_TRUE(engine().verify_store().failed.empty());
}

}  // namespace
}  // namespace karapace::core
