// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <random>
#include <string>

#include "bench.hpp"
#include "crowd.hpp"
#include "disk_cut.hpp"
#include "karapace/base/error.hpp"
#include "pairs.hpp"
#include "power_cut.hpp"
#include "walk.hpp"

namespace karapace::lab {
namespace {

constexpr const char* kUsage =
    "usage: crash_lab MODE [--seed S] [--operation NAME] [--kills N] [--at STEP:FAULT[,STEP]]\n"
    "                      [--cuts N] [--cut STATE] [--disk TYPE] [--off STEP]\n"
    "  walk    every kill and every errno at every step of every operation\n"
    "  kills   N kills over all operations, with new stores until there are enough\n"
    "  power   states that a power cut may leave, --cuts of each operation\n"
    "  disk    the power of a disk with a real file system is cut, --cuts times in all; as root\n"
    "  pairs   two operations at once, --pairs times\n"
    "  crowd   24 processes at once, for --minutes\n"
    "  short   some of everything\n"
    "  steps   list the steps of the operations\n"
    "With --at: only that one. Operations:";

// About as many as all operations have together.
constexpr unsigned long kKillsPerRound = 4000;

// Of each kind, with each operation: seconds in all.
constexpr unsigned long kShort = 6;
constexpr unsigned kClients = 24;

struct Options {
  std::string mode;
  std::uint64_t seed = 0;
  std::string operation;
  unsigned long kills = 1000;
  std::optional<Disturbance> at;
  std::optional<PowerCut> cut;
  unsigned long cuts = 200;
  std::string disk = "ext4";
  std::string disk_at;
  std::optional<DiskCut> off;
  unsigned long pairs = 1000;
  unsigned long seconds = 600;
};

Options parse(int argc, char** argv) {
  Options options;
  std::random_device device;
  options.seed = device();
  if (argc > 1) options.mode = argv[1];
  for (int i = 2; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    const std::string value = argv[i + 1];
    if (flag == "--seed") options.seed = std::stoull(value);
    if (flag == "--operation") options.operation = value;
    if (flag == "--kills") options.kills = std::stoul(value);
    if (flag == "--cut") options.cut = PowerCut::parse(value);
    if (flag == "--cuts") options.cuts = std::stoul(value);
    if (flag == "--disk") options.disk = value;
    if (flag == "--disk-at") options.disk_at = value;
    if (flag == "--off") options.off = DiskCut::parse(value);
    if (flag == "--pairs") options.pairs = std::stoul(value);
    if (flag == "--seconds") options.seconds = std::stoul(value);
    if (flag == "--minutes") options.seconds = 60 * std::stoul(value);
    if (flag == "--at") options.at = Disturbance::parse(value);
  }
  return options;
}

/// The product is for ordinary users; tests that run as root name one.
const passwd* ordinary_user() {
  const char* name = std::getenv("KARAPACE_TEST_USER");
  if (::geteuid() != 0 || name == nullptr) return nullptr;
  const passwd* user = ::getpwnam(name);
  if (user == nullptr) throw Error(ErrorCode::NotFound, fmt::format("there is no user {}", name));
  return user;
}

void become_ordinary_user() {
  const passwd* user = ordinary_user();
  if (user == nullptr) return;
  if (::setgroups(0, nullptr) != 0 || ::setgid(user->pw_gid) != 0 || ::setuid(user->pw_uid) != 0)
    throw_errno("become another user");
  // What changed its ids may not look at itself in /proc otherwise.
  if (::prctl(PR_SET_DUMPABLE, 1) != 0) throw_errno("prctl");
}

void list_steps(Bench& bench, const Operation& operation, std::uint64_t seed) {
  const Experiment experiment = prepare(bench, operation, seed);
  fmt::print("{}: {} steps\n", operation.name, experiment.steps.size());
  for (const Step& step : experiment.steps)
    fmt::print("  {:4} {} {}\n", step.number, step.program, step.operation);
}

void run_one(Bench& bench, Disk* disk, const Operation& operation, std::uint64_t seed, const Options& options,
             unsigned long kills, Tally& tally) {
  if (options.mode == "steps") {
    list_steps(bench, operation, seed);
  } else if (options.at) {
    disturb(bench, prepare(bench, operation, seed), *options.at, tally);
  } else if (options.cut) {
    cut_power_at(bench, operation, seed, *options.cut, tally);
  } else if (disk != nullptr && options.off) {
    cut_disk_at(bench, *disk, operation, seed, *options.off, tally);
  } else if (disk != nullptr) {
    cut_disk(bench, *disk, operation, seed,
             options.operation.empty() ? options.cuts / operations().size() + 1 : options.cuts, tally);
  } else if (options.mode == "power") {
    cut_power(bench, operation, seed, options.cuts, tally);
  } else if (options.mode == "walk") {
    walk_all(bench, operation, seed, tally);
  } else if (options.mode == "kills") {
    walk_kills(bench, operation, seed, kills, tally);
  } else {
    walk_some(bench, operation, seed, kShort, tally);
    cut_power(bench, operation, seed, kShort, tally);
  }
}

Tally run(const Options& options, Disk* disk) {
  Tally tally;
  Bench bench(disk != nullptr ? disk->directory() : std::string());
  if (options.mode == "pairs") {
    run_pairs(bench, options.seed, options.pairs, tally);
    return tally;
  }
  if (options.mode == "crowd") {
    run_crowd(bench, options.seed, kClients, std::chrono::seconds(options.seconds), tally);
    return tally;
  }
  bool found = false;
  const unsigned long rounds = options.kills / kKillsPerRound + 1;
  const unsigned long kills_each =
      options.operation.empty() ? options.kills / (rounds * operations().size()) + 1 : options.kills;
  for (std::uint64_t round = 0;
       round == 0 || (options.mode == "kills" && !options.at && !options.cut && tally.kills < options.kills);
       ++round) {
    for (const Operation& operation : operations()) {
      if (!options.operation.empty() && options.operation != operation.name) continue;
      found = true;
      const std::uint64_t seed = options.seed + round;
      const auto begin = std::chrono::steady_clock::now();
      const unsigned long left = options.kills - std::min(tally.kills, options.kills);
      run_one(bench, disk, operation, seed, options, std::min(kills_each, left), tally);
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
      fmt::print("{} (seed {}): {}, {:.1f} s\n", operation.name, seed, tally.text(), took.count());
      std::fflush(stdout);
    }
    if (!found) throw Error(ErrorCode::InvalidInput, "no operation is called " + options.operation);
  }
  return tally;
}

int main_checked(int argc, char** argv) {
  const Options options = parse(argc, argv);
  if (options.mode != "walk" && options.mode != "kills" && options.mode != "short" &&
      options.mode != "power" && options.mode != "pairs" && options.mode != "crowd" &&
      options.mode != "disk" && options.mode != "steps") {
    fmt::print(stderr, "{}\n", kUsage);
    for (const Operation& operation : operations()) fmt::print(stderr, "    {}\n", operation.name);
    return 2;
  }
  std::optional<Disk> disk;
  if (options.mode == "disk" && options.disk_at.empty()) {
    const passwd* user = ordinary_user();
    return keep_disk(options.disk, user != nullptr ? user->pw_uid : 0, user != nullptr ? user->pw_gid : 0,
                     {argv + 1, argv + argc});
  }
  if (options.mode == "disk") disk.emplace(options.disk, options.disk_at);
  become_ordinary_user();
  adopt_orphans();
  fmt::print("seed {}\n", options.seed);
  const Tally tally = run(options, disk ? &*disk : nullptr);
  fmt::print("{}\n", tally.text());
  return tally.good() ? 0 : 1;
}

}  // namespace
}  // namespace karapace::lab

int main(int argc, char** argv) {
  try {
    return karapace::lab::main_checked(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "crash_lab: {}\n", error.what());
    return 1;
  }
}
