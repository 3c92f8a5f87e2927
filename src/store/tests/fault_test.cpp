// SPDX-License-Identifier: Apache-2.0
// Every mutating system call of every operation of the store fails once with ENOSPC, once with EIO, and is
// once the last thing the process does. Each time the store is opened again and must be whole and in the old
// or the new state; what was reported as done must be done; and the same operation must then succeed.
#include "karapace/base/fault.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <functional>

#include "commit_store.hpp"
#include "karapace/store/gc.hpp"
#include "karapace/store/integrity.hpp"
#include "karapace/store/object_store.hpp"
#include "karapace/store/wal.hpp"
#include "test_store.hpp"

namespace karapace::store {
namespace {

using testing::make_record;
using testing::TempDir;

enum class State { Old, New, Neither };

struct Scenario {
  const char* name;
  std::function<void(const StoreLayout&)> prepare;
  std::function<void(const StoreLayout&)> act;
  std::function<State(const StoreLayout&)> look;
};

void PrintTo(const Scenario& scenario, std::ostream* out) { *out << scenario.name; }

void write_into(FdRef dir, const std::string& name, std::string_view content) {
  write_all(open_beneath(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0644), content);
}

const std::string kEnv(64, 'a');
const std::string kSha(64, 'd');

State look_for_record(const StoreLayout& layout, const std::optional<EnvRecord>& before,
                      const std::optional<EnvRecord>& after) {
  const std::optional<EnvRecord> found = MetadataStore(layout).find(kEnv);
  if (found == after) {
    // A name that lags behind is found by reading the records.
    if (after && after->name && !MetadataStore(layout).find_by_name(*after->name)) return State::Neither;
    return State::New;
  }
  return found == before ? State::Old : State::Neither;
}

testing::Sealed build_layer(const StoreLayout& layout, std::string_view content = "content") {
  Operation operation = Operation::begin(layout, OpKind::Build, kEnv, {});
  const UniqueFd staging = operation.staging();
  ensure_directory_at(staging, "tree/sub");
  write_into(staging, "tree/file", content);
  write_into(staging, "tree/sub/other", "other content");
  write_into(staging, "tree/sub/same", "content");
  symlink_at("file", staging, "tree/link");
  try_link_at(staging, "tree/file", staging, "tree/hard");
  testing::Sealed sealed =
      testing::publish_layer(layout, staging, {.set_mtime = kSourceDateEpoch, .threads = 1});
  operation.finish();
  return sealed;
}

State look_for_layer(const StoreLayout& layout) {
  const std::vector<Digest> layers = LayerStore(layout).list();
  if (layers.empty()) return State::Old;
  const LayerStore store(layout);
  if (layers.size() != 1 || !store.is_laid_out(layers[0])) return State::Neither;
  const ObjectStore objects(layout);
  const LayerRecord record = store.load(layers[0]);
  std::vector<IndexEntry> entries = decode_index(objects.load(record.index_object));
  apply_mtimes(entries, objects.load(record.mtimes_object));
  const UniqueFd tree = open_directory(layout.trees(), layers[0].hex());
  return scan_tree(tree, true, true, 1, CancelToken::process()) == entries ? State::New : State::Neither;
}

GcPlan plan_collection(const StoreLayout& layout) {
  GcRoots roots;
  roots.discard_lost = true;
  return plan_gc(layout, roots, no_progress(), CancelToken::process());
}

void collect(const StoreLayout& layout) {
  const FileLock lock = layout.lock_exclusive();
  const GcResult done = apply_gc(layout, plan_collection(layout), {}, no_progress(), CancelToken::process());
  if (!done.failures.empty()) throw Error(ErrorCode::Busy, done.failures[0].reason);
}

/// What is needed is there at any time; what is not may go one by one.
State look_for_collected(const StoreLayout& layout) {
  const GcPlan left = plan_collection(layout);
  if (!left.holds.empty()) return State::Neither;
  const std::optional<EnvRecord> record = MetadataStore(layout).find(kEnv);
  if (!record || !LayerStore(layout).is_laid_out(Digest::parse(record->base_layer))) return State::Neither;
  const UniqueFd tree = open_directory(layout.trees(), record->base_layer);
  const std::string index = encode_index(scan_tree(tree, true, true, 1, CancelToken::process()));
  if (hash_bytes(index).hex() != record->base_layer) return State::Neither;
  return left.size() == 0 ? State::New : State::Old;
}

void prepare_upper(const StoreLayout& layout) {
  const EnvRecord record = testing::make_environment(layout, 'a');
  const UniqueFd upper = testing::open_upper(layout, record);
  ensure_directory_at(upper, "sub", 0755);
  write_into(upper, "file", "content");
  write_into(upper, "same", "content");
  write_into(upper, "sub/group", "of two names");
  if (try_link_at(upper, "sub/group", upper, "sub/other") != LinkResult::Linked) throw_errno("link");
  write_into(upper, "base", "above the base");
}

/// Whether the files of prepare_upper are in `tree`.
bool has_files(FdRef tree) {
  return read_file_at(tree, "file", 100) == "content" && read_file_at(tree, "same", 100) == "content" &&
         read_file_at(tree, "sub/other", 100) == "of two names" &&
         read_file_at(tree, "base", 100) == "above the base";
}

State look_for_commit(const StoreLayout& layout) {
  const EnvRecord record = MetadataStore(layout).find(kEnv).value();
  const UniqueFd upper = testing::open_upper(layout, record);
  const std::vector<SnapshotRecord> snapshots = SnapshotLog(layout).read(kEnv).snapshots;
  if (record.snapshot_layers.empty()) {
    // Nobody may share a file with an upper directory.
    const bool own = stat_at(upper, "file")->st_nlink == 1 && stat_at(upper, "sub/group")->st_nlink == 2;
    return own && has_files(upper) && snapshots.empty() && !record.head ? State::Old : State::Neither;
  }
  if (!list_directory(upper).empty() || snapshots.size() != 1 || record.head != snapshots[0].id)
    return State::Neither;
  const bool there = LayerStore(layout).is_laid_out(Digest::parse(snapshots[0].layer));
  return there && has_files(testing::open_top(layout, record)) ? State::New : State::Neither;
}

State look_for_discard(const StoreLayout& layout) {
  const EnvRecord record = MetadataStore(layout).find(kEnv).value();
  const UniqueFd upper = testing::open_upper(layout, record);
  const bool empty = list_directory(upper).empty();
  if (record.updated_at == testing::make_record('a').updated_at)
    return !empty && has_files(upper) ? State::Old : State::Neither;
  return empty ? State::New : State::Neither;
}

std::vector<Scenario> scenarios() {
  const EnvRecord before = make_record('a', "old-name");
  EnvRecord after = make_record('a', "new-name");
  after.state = EnvState::Frozen;
  const auto object = [](const StoreLayout& layout) {
    const ObjectStore objects(layout);
    return objects.find(hash_bytes("object")) ? State::New : State::Old;
  };
  return {
      {"PutObject", [](const StoreLayout&) {},
       [](const StoreLayout& layout) { ObjectStore(layout).put("object"); }, object},
      {"NewRecord", [](const StoreLayout&) {},
       [=](const StoreLayout& layout) { MetadataStore(layout).put(after); },
       [=](const StoreLayout& layout) { return look_for_record(layout, std::nullopt, after); }},
      {"ChangeRecord", [=](const StoreLayout& layout) { MetadataStore(layout).put(before); },
       [=](const StoreLayout& layout) { MetadataStore(layout).put(after); },
       [=](const StoreLayout& layout) { return look_for_record(layout, before, after); }},
      {"RemoveRecord", [=](const StoreLayout& layout) { MetadataStore(layout).put(before); },
       [](const StoreLayout& layout) { MetadataStore(layout).remove(kEnv); },
       [=](const StoreLayout& layout) { return look_for_record(layout, before, std::nullopt); }},
      {"Adopt",
       [](const StoreLayout& layout) {
         write_into(layout.open_dir("store/downloads"), kSha + ".part", "the artefact");
       },
       [](const StoreLayout& layout) {
         // What came after a failure: the downloader finds the artefact or fetches it again.
         const UniqueFd downloads = layout.open_dir("store/downloads");
         // One that was made read-only on its way into the store is complete, and taken as it is.
         if (!PackageStore(layout).contains(kSha) && !exists_at(downloads, kSha + ".part"))
           write_into(downloads, kSha + ".part", "the artefact");
         PackageStore(layout).adopt_downloads({kSha});
       },
       [](const StoreLayout& layout) {
         const PackageStore packages(layout);
         if (!packages.contains(kSha)) return State::Old;
         return read_all(*packages.open(kSha), 100) == "the artefact" ? State::New : State::Neither;
       }},
      {"SealAndPublishLayer", [](const StoreLayout&) {},
       [](const StoreLayout& layout) { build_layer(layout); }, look_for_layer},
      {"LayOut",
       [](const StoreLayout& layout) {
         // The tree was lost; it comes back from the objects.
         remove_tree_at(layout.trees(), build_layer(layout).hash.hex());
       },
       [](const StoreLayout& layout) {
         Operation operation = Operation::begin(layout, OpKind::Restore, kEnv, {});
         const LayerStore layers(layout);
         const LayerRecord record = layers.load(layers.list().at(0));
         const ObjectStore objects(layout);
         std::vector<IndexEntry> entries = decode_index(objects.load(record.index_object));
         apply_mtimes(entries, objects.load(record.mtimes_object));
         ensure_directory_at(operation.staging(), "tree");
         lay_out_tree(entries, layout.objects(), open_directory(operation.staging(), "tree"), true);
         publish_tree(operation.staging(), "tree", layout.trees(), record.hash);
         operation.finish();
       },
       [](const StoreLayout& layout) {
         const LayerStore layers(layout);
         return layers.is_laid_out(layers.list().at(0)) ? look_for_layer(layout) : State::Old;
       }},
      {"Recover",
       [=](const StoreLayout& layout) {
         MetadataStore(layout).put(before);
         ensure_directory_at(layout.environments(), kEnv + "/upper/sub");
         const Operation dead =
             Operation::begin(layout, OpKind::Destroy, kEnv, {{WalStep::Kind::FinishDestroy, kEnv}});
         write_into(dead.staging(), "half", "half");
         ensure_directory_at(layout.staging(), std::string(32, '0') + "/x");
         write_into(layout.open_dir("store/wal"), ".tmp-x", "x");
       },
       [](const StoreLayout& layout) {
         recover(layout);
         // It does what it can and leaves the rest to the next time.
         if (!list_directory(layout.open_dir("store/wal")).empty())
           throw Error(ErrorCode::Busy, "not all undone");
       },
       [=](const StoreLayout& layout) {
         const bool clean = !exists_at(layout.environments(), kEnv);
         return clean ? look_for_record(layout, before, std::nullopt) : State::Neither;
       }},
      {"Gc",
       [=](const StoreLayout& layout) {
         // One environment stays with its layer; a layer, an artefact, an environment and rubbish go.
         EnvRecord record = before;
         record.base_layer = build_layer(layout).hash.hex();
         record.dependency_layers.clear();
         record.manifest_hash = ObjectStore(layout).put("its manifest").hex();
         MetadataStore(layout).put(record);
         build_layer(layout, "unneeded content");
         write_into(layout.open_dir("store/downloads"), kSha + ".part", "the artefact");
         PackageStore(layout).adopt_downloads({kSha});
         BuildCache(layout).put(hash_bytes("key"), hash_bytes("no layer"));
         ensure_directory_at(layout.environments(), std::string(64, 'b') + "/upper/sub");
         write_into(layout.objects(), ".tmp-half", "half");
       },
       collect, look_for_collected},
      {"Commit", prepare_upper, [](const StoreLayout& layout) { testing::commit_environment(layout, kEnv); },
       look_for_commit},
      {"Discard", prepare_upper, [](const StoreLayout& layout) { testing::discard_to(layout, kEnv, {}); },
       look_for_discard},
      {"Destroy",
       [=](const StoreLayout& layout) {
         MetadataStore(layout).put(before);
         ensure_directory_at(layout.environments(), kEnv + "/upper/sub");
       },
       [](const StoreLayout& layout) {
         Operation operation =
             Operation::begin(layout, OpKind::Destroy, kEnv, {{WalStep::Kind::FinishDestroy, kEnv}});
         MetadataStore(layout).remove(kEnv);
         remove_tree_at(layout.environments(), kEnv);
         operation.finish();
       },
       [=](const StoreLayout& layout) {
         const bool directory = exists_at(layout.environments(), kEnv);
         const State record = look_for_record(layout, before, std::nullopt);
         if (record == State::Old) return directory ? State::Old : State::Neither;
         return directory ? State::Neither : record;
       }},
  };
}

class FaultWalk : public ::testing::TestWithParam<Scenario> {
 protected:
  static constexpr unsigned long kMaxCalls = 2000;

  /// Acts with the fault armed. True if it reported success.
  static bool act(const StoreLayout& layout, const std::string& fault) {
    bool done = false;
    fault::arm(fault);
    try {
      GetParam().act(layout);
      done = true;
    } catch (const Error&) {
      // Told, so the caller knows.
    }
    calls_ = fault::calls();
    fault::arm("");
    return done;
  }

  /// Acts in a child that dies in the middle. True if it lived to report success.
  static bool act_and_die(const StoreLayout& layout, const std::string& fault) {
    const pid_t child = ::fork();
    if (child < 0) throw_errno("fork");
    if (child == 0) ::_exit(act(layout, fault) ? 0 : 1);
    int status = 0;
    if (::waitpid(child, &status, 0) != child) throw_errno("waitpid");
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }

  static void check(const std::string& path, bool reported_done) {
    const StoreLayout layout = StoreLayout::open_or_create(path);
    const RecoveryReport report = recover(layout);
    EXPECT_TRUE(report.set_aside.empty());
    EXPECT_TRUE(list_directory(layout.open_dir("store/wal")).empty());
    EXPECT_TRUE(list_directory(layout.staging()).empty());
    const State state = GetParam().look(layout);
    EXPECT_NE(state, State::Neither);
    if (reported_done) {
      EXPECT_EQ(state, State::New);
    }
    for (const IntegrityFault& fault : verify_store(layout, no_progress(), CancelToken::process()).failed) {
      // A record of these tests names layers that are none.
      if (fault.kind == "metadata" || fault.kind == "tree" || fault.reason == "its record is missing")
        continue;
      // Without an entry in the log nobody finishes the removal of a record: gc takes its name away.
      if (fault.fix == "karapace gc removes it") continue;
      // Some of them have no directory, not even before.
      if (fault.kind == "environment" && !exists_at(layout.environments(), fault.hash)) continue;
      ADD_FAILURE() << fault.kind << " " << fault.hash << ": " << fault.reason;
    }
    GetParam().act(layout);
    EXPECT_EQ(GetParam().look(layout), State::New) << "the second time";
  }

  static unsigned long calls_;
};

unsigned long FaultWalk::calls_ = 0;

TEST_P(FaultWalk, StoreIsOldOrNewAfterEveryFault) {
  for (const std::string kind : {"ENOSPC", "EIO", "kill"}) {
    bool complete = false;
    for (unsigned long n = 1; !complete && !HasFailure(); ++n) {
      ASSERT_LT(n, kMaxCalls);
      SCOPED_TRACE("fault " + std::to_string(n) + ":" + kind);
      const TempDir dir;
      const std::string path = dir.path() + "/store";
      bool done = false;
      {
        const StoreLayout layout = StoreLayout::open_or_create(path);
        GetParam().prepare(layout);
        const std::string fault = std::to_string(n) + ":" + kind;
        done = kind == "kill" ? act_and_die(layout, fault) : act(layout, fault);
        complete = kind == "kill" ? done : calls_ < n;
      }
      check(path, done);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Store, FaultWalk, ::testing::ValuesIn(scenarios()),
                         [](const auto& instance) { return std::string(instance.param.name); });

}  // namespace
}  // namespace karapace::store
