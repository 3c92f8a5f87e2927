// SPDX-License-Identifier: Apache-2.0
#include "operation.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <iterator>

namespace karapace::lab {
namespace {

namespace fs = std::filesystem;

using Words = std::vector<std::string>;

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string commit(Bench& bench, const std::string& name, const std::string& id, Random& random) {
  bench.write_drift(id, random);
  const Json done = bench.run_json({"commit", name, "-m", fmt::format("message {}", random.below(1000))});
  return done.at("snapshot_hash").is_null() ? "" : done.at("snapshot_hash").get<std::string>();
}

/// Two environments that share layers, one of them with snapshots. Returns the id of "dev".
std::string two_environments(Bench& bench, Random& random, int snapshots = 1) {
  const std::string other = bench.build("other", "'curl'");
  bench.write_drift(other, random, 2);
  const std::string id = bench.build("dev", "'git'");
  for (int i = 0; i < snapshots; ++i) commit(bench, "dev", id, random);
  return id;
}

/// A snapshot and something newer that is not committed.
Words prepare_restore(Bench& bench, Random& random, bool discard) {
  const std::string id = bench.build("dev", "'git'");
  const std::string first = commit(bench, "dev", id, random);
  commit(bench, "dev", id, random);
  bench.write_drift(id, random);
  Words words = {"restore", "dev", first};
  if (discard) words.insert(words.begin() + 1, "--discard");
  return words;
}

/// The environment of which the new state has one snapshot more, with that snapshot and nothing else changed.
std::vector<StoreModel> with_new_snapshot(const StoreModel& before, const StoreModel& after) {
  StoreModel between = before;
  for (auto& [id, env] : between.environments) {
    const auto found = after.environments.find(id);
    if (found == after.environments.end() || found->second.snapshots.size() == env.snapshots.size()) continue;
    const SnapshotModel& taken = found->second.snapshots.at(env.snapshots.size());
    env.snapshots.push_back(taken);
    env.head = static_cast<int>(env.snapshots.size()) - 1;
    env.layers = taken.layers;
  }
  return {between};
}

/// rebuild: the new environment is there before the old one goes; the home moves in between.
std::vector<StoreModel> both_environments(const StoreModel& before, const StoreModel& after) {
  StoreModel both = before;
  EnvModel* old = nullptr;
  EnvModel* fresh = nullptr;
  for (auto& [id, env] : both.environments) {
    if (!after.environments.contains(id)) old = &env;
  }
  for (const auto& [id, env] : after.environments) {
    if (!before.environments.contains(id)) fresh = &(both.environments[id] = env);
  }
  if (old == nullptr || fresh == nullptr) return {};
  old->name = "(none)";
  const std::string home = old->home;
  StoreModel moved = both;
  for (auto& [id, env] : moved.environments) {
    if (!after.environments.contains(id)) env.home.clear();
  }
  fresh->home.clear();
  return {both, moved};
}

void leave_rubbish(Bench& bench, Random& random) {
  const std::string gone = bench.build("gone", "'vim'");
  commit(bench, "gone", gone, random);
  bench.run_ok({"destroy", "--yes", "gone"});
  bench.write("store/store/objects/.tmp-half", "half");
  bench.write("store/store/downloads/" + std::string(64, 'd') + ".part", "part");
  bench.write("store/env/" + std::string(64, 'b') + "/work/sub/file", "nobody's");
}

/// What can be healed from what is there: trees from objects, objects from trees.
void damage(Bench& bench) {
  const Json record = bench.run_json({"inspect", "dev"});
  const std::string layer = record.at("snapshot_layers").at(0).get<std::string>();
  const std::string base = record.at("base_layer").get<std::string>();
  remove_all(bench.store() + "/trees/" + layer);
  fs::remove(bench.store() + "/store/objects/" + base);
  fs::remove(bench.store() + "/store/layers/" + base);
}

void make_format_1(Bench& bench) {
  for (const auto& file : fs::directory_iterator(bench.store() + "/store/metadata")) {
    OrderedJson record = OrderedJson::parse(read(file.path()));
    record.erase("checksum");
    bench.write("store/store/metadata/" + file.path().filename().string(), record.dump(2));
  }
  bench.write("store/store/version", "{\n  \"format_version\": 1\n}");
}

void make_base_directory(Bench& bench, Random& random) {
  const std::string id = bench.build("scratch", "");
  bench.write_drift(id, random, 10);
  bench.run_ok({"export", "scratch", "--output", "../project/base"});
  bench.run_ok({"export", "scratch", "--output", "../project/base.tar"});
  bench.run_ok({"destroy", "--yes", "scratch"});
  bench.run_ok({"gc"});
}

std::vector<Operation> build_operations() {
  return {
      {"first-build",
       [](Bench& bench, Random&) -> Words {
         bench.write_manifest("'git'");
         return {"build", "--name", "dev"};
       }},
      {"build",
       [](Bench& bench, Random& random) -> Words {
         two_environments(bench, random);
         bench.write_manifest("'git', 'jq'");
         return {"build", "--name", "new"};
       }},
      {"build-directory",
       [](Bench& bench, Random& random) -> Words {
         make_base_directory(bench, random);
         bench.write_manifest("", "karapace.toml", "./base");
         return {"build", "--name", "new"};
       }},
      {"build-tar",
       [](Bench& bench, Random& random) -> Words {
         make_base_directory(bench, random);
         bench.write_manifest("", "karapace.toml", "./base.tar");
         return {"build", "--name", "new"};
       }},
      {"build-takes-name",
       [](Bench& bench, Random& random) -> Words {
         two_environments(bench, random);
         bench.write_manifest("'git', 'jq'", "dev.toml");
         return {"build", "dev.toml", "--name", "dev"};
       }},
      {"build-archived",
       [](Bench& bench, Random& random) -> Words {
         bench.write_drift(two_environments(bench, random), random);
         bench.run_ok({"archive", "dev"});
         return {"build", "dev.toml"};
       }},
      {"rebuild",
       [](Bench& bench, Random& random) -> Words {
         const std::string id = two_environments(bench, random);
         bench.write("store/env/" + id + "/home/file", "mine");
         bench.write_manifest("'git', 'jq'", "dev.toml");
         return {"rebuild", "dev.toml"};
       },
       both_environments, true},
  };
}

std::vector<Operation> snapshot_operations() {
  return {
      {"commit",
       [](Bench& bench, Random& random) -> Words {
         const std::string id = two_environments(bench, random, 2);
         bench.write_drift(id, random, 10);
         return {"commit", "dev", "-m", "the one"};
       }},
      {"squash",
       [](Bench& bench, Random& random) -> Words {
         const std::string id = two_environments(bench, random, 0);
         for (int i = 0; i < 16; ++i) {
           bench.write_drift(id, random, 2);
           // Each one is a snapshot, also if all that was drawn was there before.
           bench.write(fmt::format("store/env/{}/upper/number", id), std::to_string(i));
           bench.run_ok({"commit", "dev", "-m", std::to_string(i)});
         }
         bench.write(fmt::format("store/env/{}/upper/number", id), "last");
         return {"commit", "dev", "-m", "the one too many"};
       },
       // Which layers it lies on is nothing that anybody inside sees.
       [](const StoreModel& before, const StoreModel& after) -> std::vector<StoreModel> {
         StoreModel unmerged = after;
         for (auto& [id, env] : unmerged.environments) {
           const auto old = before.environments.find(id);
           if (old == before.environments.end() || old->second.snapshots.size() == env.snapshots.size())
             continue;
           env.layers = env.snapshots.back().layers;
         }
         return {unmerged};
       },
       true},
      {"restore", [](Bench& bench, Random& random) { return prepare_restore(bench, random, false); },
       with_new_snapshot},
      {"restore-discard", [](Bench& bench, Random& random) { return prepare_restore(bench, random, true); }},
      {"export-directory",
       [](Bench& bench, Random& random) -> Words {
         bench.write_drift(two_environments(bench, random), random);
         return {"export", "dev", "--output", "../out/tree"};
       },
       {},
       false,
       false},
      {"export-tar",
       [](Bench& bench, Random& random) -> Words {
         bench.write_drift(two_environments(bench, random), random);
         return {"export", "dev", "--output", "../out/dev.tar"};
       },
       {},
       false,
       false},
  };
}

std::vector<Operation> state_operations() {
  return {
      {"rename",
       [](Bench& bench, Random& random) -> Words {
         two_environments(bench, random);
         return {"rename", "dev", "work"};
       },
       {},
       false,
       false},
      {"freeze",
       [](Bench& bench, Random& random) -> Words {
         bench.write_drift(two_environments(bench, random), random);
         return {"freeze", "dev"};
       }},
      {"thaw",
       [](Bench& bench, Random& random) -> Words {
         bench.write_drift(two_environments(bench, random), random);
         bench.run_ok({"freeze", "dev"});
         return {"thaw", "dev"};
       }},
      {"archive",
       [](Bench& bench, Random& random) -> Words {
         bench.write_drift(two_environments(bench, random), random);
         return {"archive", "dev"};
       },
       with_new_snapshot},
      {"unarchive",
       [](Bench& bench, Random& random) -> Words {
         bench.write_drift(two_environments(bench, random), random);
         bench.run_ok({"archive", "dev"});
         return {"unarchive", "dev"};
       }},
      {"destroy",
       [](Bench& bench, Random& random) -> Words {
         bench.write_drift(two_environments(bench, random), random);
         return {"destroy", "--yes", "dev"};
       },
       {},
       false,
       false},
      {"gc",
       [](Bench& bench, Random& random) -> Words {
         two_environments(bench, random);
         leave_rubbish(bench, random);
         return {"gc"};
       }},
      {"repair",
       [](Bench& bench, Random& random) -> Words {
         two_environments(bench, random);
         damage(bench);
         return {"verify-store", "--repair"};
       },
       {},
       false,
       true,
       true},
      {"migrate",
       [](Bench& bench, Random& random) -> Words {
         two_environments(bench, random, 0);
         make_format_1(bench);
         return {"migrate"};
       }},
  };
}

}  // namespace

const std::vector<Operation>& operations() {
  static const std::vector<Operation> all = [] {
    std::vector<Operation> list = build_operations();
    for (const auto& more : {snapshot_operations(), state_operations()})
      list.insert(list.end(), more.begin(), more.end());
    return list;
  }();
  return all;
}

}  // namespace karapace::lab
