// SPDX-License-Identifier: Apache-2.0
// The figures against the file system: what is really free after an environment was destroyed and gc ran, and
// what is really there when all others are gone.
#include "karapace/store/disk_use.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <random>

#include "commit_store.hpp"
#include "karapace/store/gc.hpp"
#include "karapace/store/snapshot_log.hpp"
#include "random_tree.hpp"

namespace karapace::store {
namespace {

using namespace testing;

void write_file(FdRef dir, const std::string& name, std::string_view content) {
  write_all(open_beneath(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0644), content);
}

/// A store with layers, snapshots, artefacts and uppers that share in every way there is; made from a seed.
class Sample {
 public:
  explicit Sample(std::uint32_t seed) : random_(seed) {
    for (int i = 0; i < 3; ++i) bases_.push_back(make_layer(true));
    for (int i = 0; i < 3; ++i) make_package();
    for (const char digit : {'a', 'b', 'c', 'd'}) make_one(digit);
    make_layer(false);  // rubbish that shares with what is used
  }

  [[nodiscard]] DiskUse use_of(const std::string& env_id, bool alone = false) {
    DiskUseQuestion question;
    question.packages = packages_;
    if (alone) question.only = env_id;
    const auto uses = measure_disk_use(layout, question, CancelToken::process());
    EXPECT_EQ(uses.size(), alone ? 1U : packages_.size());
    return uses.at(env_id).value();
  }
  void destroy(const std::string& env_id) {
    MetadataStore(layout).remove(env_id);
    SnapshotLog(layout).remove(env_id);
    remove_tree_at(layout.environments(), env_id);
    packages_.erase(env_id);
  }
  std::uint64_t collect() {
    const FileLock lock = layout.lock_exclusive();
    GcRoots roots;
    for (const auto& [env_id, packages] : packages_) roots.packages.insert(packages.begin(), packages.end());
    const GcPlan plan = plan_gc(layout, roots, no_progress(), CancelToken::process());
    EXPECT_TRUE(apply_gc(layout, plan, {}, no_progress(), CancelToken::process()).failures.empty());
    return plan.bytes;
  }
  /// Every inode once; the directories that every store has have their size for good.
  [[nodiscard]] std::uint64_t on_disk() const {
    std::set<std::pair<dev_t, ino_t>> seen;
    std::uint64_t total = 0;
    for (const char* place : {"store", "trees", "env"}) {
      for (const DirectoryEntry& entry : list_directory(layout.open_dir(place)))
        add(layout.open_dir(place), entry.name, place == std::string_view("store"), seen, total);
    }
    return total;
  }
  [[nodiscard]] std::vector<std::string> ids() const {
    std::vector<std::string> ids;
    for (const auto& [env_id, packages] : packages_) ids.push_back(env_id);
    return ids;
  }

  TempDir dir;
  StoreLayout layout = StoreLayout::open_or_create(dir.path() + "/store-root");

 private:
  static void add(FdRef dir, const std::string& name, bool of_the_store,
                  std::set<std::pair<dev_t, ino_t>>& seen, std::uint64_t& total) {
    const struct stat info = stat_at(dir, name).value();
    if (!(of_the_store && S_ISDIR(info.st_mode)) && seen.emplace(info.st_dev, info.st_ino).second)
      total += static_cast<std::uint64_t>(info.st_blocks) * 512;
    if (!S_ISDIR(info.st_mode)) return;
    const UniqueFd below = open_directory(dir, name);
    for (const DirectoryEntry& entry : list_directory(below)) add(below, entry.name, false, seen, total);
  }
  std::uint32_t pick(std::uint32_t limit) { return static_cast<std::uint32_t>(random_() % limit); }
  /// Few different ones, so that layers share them.
  std::string content() { return std::string(1 + pick(4) * 9000, static_cast<char>('a' + pick(6))); }

  std::string make_layer(bool of_one_time) {
    const UniqueFd staging = layout.staging();
    make_directory_at(staging, "tree", 0755);
    const UniqueFd tree = open_directory(staging, "tree");
    fill_random_tree(tree, pick(1U << 31), TreeOptions{20, false});
    ensure_directory_at(tree, "files", 0755);
    for (int i = 0; i < 8; ++i) write_file(tree, "files/" + std::to_string(i), content());
    // Mode and time differ from the object's: a copy.
    EXPECT_EQ(::fchmod(open_beneath(tree, "files/1", O_RDONLY).get(), 0755), 0);
    SealOptions options;
    if (of_one_time) options.set_mtime = kSourceDateEpoch;
    return publish_layer(layout, staging, options).hash.hex();
  }

  void make_package() {
    const std::string sha256 = hash_bytes("sha of " + std::to_string(all_packages_.size())).hex();
    write_file(layout.open_dir("store/downloads"), sha256 + ".part", content() + sha256);
    PackageStore(layout).adopt_downloads({sha256});
    all_packages_.push_back(sha256);
  }

  void make_one(char digit) {
    EnvRecord record = make_record(digit, std::string("env-") + digit);
    record.base_layer = bases_[pick(2)];
    record.dependency_layers = {pick(2) == 0 ? bases_[2] : make_layer(true)};
    record.manifest_hash = ObjectStore(layout).put("{}").hex();
    const std::string base = "env/" + record.env_id;
    ensure_directory_at(layout.root(), base + "/upper", 0755);
    ensure_directory_at(layout.root(), base + "/home/files", 0700);
    MetadataStore(layout).put(record);
    write_file(layout.open_dir(base + "/home"), "of the user", content());
    for (int i = 0; i < 2; ++i) {
      write_file(layout.open_dir(base + "/upper"), "committed", content() + digit);
      record = commit_environment(layout, record.env_id);
    }
    fill_random_tree(layout.open_dir(base + "/upper"), pick(1U << 31), TreeOptions{15, false});
    BuildCache(layout).put(hash_bytes(std::string("key of ") + digit), Digest::parse(record.base_layer));
    packages_[record.env_id] = {all_packages_[pick(3)], all_packages_[pick(3)]};
    if (digit == 'd') {
      record.state = EnvState::Archived;
      MetadataStore(layout).put(record);
    }
  }

  std::mt19937 random_;
  std::vector<std::string> bases_;
  std::vector<std::string> all_packages_;
  std::map<std::string, std::set<std::string>> packages_;
};

class RandomDiskUse : public ::testing::TestWithParam<std::uint32_t> {};

TEST_P(RandomDiskUse, ExclusiveIsWhatDestroyingTheEnvironmentGivesBack) {
  for (std::size_t nth = 0; nth < 4; ++nth) {
    Sample sample(GetParam());
    sample.collect();
    const std::string env_id = sample.ids().at(nth);
    const DiskUse use = sample.use_of(env_id);
    EXPECT_EQ(sample.use_of(env_id, true), use);
    const std::uint64_t before = sample.on_disk();
    sample.destroy(env_id);
    sample.collect();
    EXPECT_EQ(before - sample.on_disk(), use.exclusive) << "seed " << GetParam() << " environment " << nth;
  }
}

TEST_P(RandomDiskUse, ExclusiveAndSharedAreWhatIsThereWithoutTheOthers) {
  for (std::size_t nth = 0; nth < 4; ++nth) {
    Sample sample(GetParam());
    const std::string env_id = sample.ids().at(nth);
    const DiskUse use = sample.use_of(env_id);
    for (const std::string& other : sample.ids()) {
      if (other != env_id) sample.destroy(other);
    }
    sample.collect();
    // What every store has besides: the version and the lock.
    const std::uint64_t of_the_store = [&] {
      std::uint64_t bytes = 0;
      for (const char* name : {"store/version", "store/.lock", "store/names/.lock"}) {
        if (const auto info = stat_at(sample.layout.root(), name))
          bytes += static_cast<std::uint64_t>(info->st_blocks) * 512;
      }
      return bytes;
    }();
    EXPECT_EQ(sample.on_disk() - of_the_store, use.exclusive + use.shared)
        << "seed " << GetParam() << " environment " << nth;
    EXPECT_EQ(sample.use_of(env_id), (DiskUse{use.exclusive + use.shared, 0}));
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomDiskUse, ::testing::Range(1U, 5U));

TEST(DiskUse, NothingIsExclusiveThatDamageElsewhereKeeps) {
  Sample sample(1);
  const std::string env_id = sample.ids().front();
  const DiskUse whole = sample.use_of(env_id);
  write_all(open_beneath(sample.layout.metadata(), sample.ids().back(), O_WRONLY | O_TRUNC), "{}");
  const DiskUseQuestion question;
  const auto uses = measure_disk_use(sample.layout, question, CancelToken::process());
  const DiskUse damaged = uses.at(env_id).value();
  EXPECT_LT(damaged.exclusive, whole.exclusive);
  const std::uint64_t before = sample.on_disk();
  sample.destroy(env_id);
  sample.collect();
  EXPECT_EQ(before - sample.on_disk(), damaged.exclusive);
}

TEST(DiskUse, ANameOutsideTheStoreMakesAFileShared) {
  Sample sample(2);
  const std::string env_id = sample.ids().front();
  const DiskUse before = sample.use_of(env_id);
  const UniqueFd home = sample.layout.open_dir("env/" + env_id + "/home");
  ASSERT_EQ(try_link_at(home, "of the user", sample.dir.fd(), "kept"), LinkResult::Linked);
  const DiskUse after = sample.use_of(env_id);
  EXPECT_LT(after.exclusive, before.exclusive);
  EXPECT_EQ(after.exclusive + after.shared, before.exclusive + before.shared);
}

TEST(DiskUse, AnIndexThatCannotBeReadLeavesItsEnvironmentsWithoutFigures) {
  Sample sample(3);
  const EnvRecord record = MetadataStore(sample.layout).find(sample.ids().front()).value();
  unlink_at(sample.layout.objects(), record.snapshot_layers.front());
  const auto uses = measure_disk_use(sample.layout, {}, CancelToken::process());
  EXPECT_FALSE(uses.at(record.env_id).has_value());
  EXPECT_TRUE(uses.at(sample.ids().at(1)).has_value());
}

}  // namespace
}  // namespace karapace::store
