// SPDX-License-Identifier: Apache-2.0
#include "pairs.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <optional>

#include "karapace/base/error.hpp"
#include "model.hpp"
#include "walk.hpp"

namespace karapace::lab {
namespace {

using Words = std::vector<std::string>;

// A new store for each so many pairs.
constexpr std::uint64_t kPairsPerStore = 16;

struct Candidate {
  Words words;
  bool one_step = true;  // old or new, nothing in between: it may be ended
};

/// What a run of both, one after the other or at once, ended in.
struct Outcome {
  std::array<int, 2> status{};
  std::string state;
  bool operator==(const Outcome&) const = default;
};

class Workshop {
 public:
  Workshop(Bench& bench, std::uint64_t seed) {
    Random random(seed);
    bench.clear();
    const std::string other = bench.build("other", "'curl'");
    const std::string dev = bench.build("dev", "'git'");
    bench.write_drift(dev, random);
    const std::string first =
        bench.run_json({"commit", "dev", "-m", "first"}).at("snapshot_hash").get<std::string>();
    bench.write_drift(dev, random);
    bench.write_drift(other, random);
    const std::string gone = bench.build("gone", "'vim'");
    bench.write_drift(gone, random);
    bench.run_ok({"commit", "gone"});
    bench.run_ok({"destroy", "--yes", "gone"});
    bench.write_manifest("'git', 'jq'", "new.toml");
    bench.write_manifest("'curl', 'git'", "same.toml");
    start = bench.save();
    before = read_model(bench.root()).text();
    // By id: a name may belong to nobody, or to somebody else, when the other one is done first.
    candidates = {{{"commit", dev, "-m", "again"}},
                  {{"commit", other, "-m", "once"}},
                  {{"restore", dev, first}, false},
                  {{"restore", "--discard", dev, first}},
                  {{"freeze", dev}},
                  {{"archive", dev}, false},
                  {{"archive", other}, false},
                  {{"rename", dev, "work"}},
                  {{"rename", other, "work"}},
                  {{"destroy", "--yes", dev}},
                  {{"destroy", "--yes", other}},
                  {{"gc"}},
                  {{"verify-store", "--repair"}},
                  {{"verify-store"}},
                  {{"verify-store"}},
                  {{"diff", dev}},
                  {{"build", "new.toml", "--name", "new"}},
                  {{"build", "same.toml", "--name", "same"}},
                  {{"build", "dev.toml", "--name", "dev"}},
                  {{"export", dev, "--output", "../out/dev.tar"}}};
  }

  Image start;
  std::string before;
  std::vector<Candidate> candidates;
};

class Pair {
 public:
  Pair(Bench& bench, const Workshop& workshop, std::uint64_t seed, Tally& tally)
      : bench_(bench), workshop_(workshop), random_(seed), tally_(tally) {
    for (Candidate& candidate : chosen_) candidate = random_.pick(workshop.candidates);
    replay_ = fmt::format("--pairs 1 --seed {}   # {} | {}", seed, fmt::join(chosen_[0].words, " "),
                          fmt::join(chosen_[1].words, " "));
  }

  void run() {
    // Whom to end, and at which of its steps: or nobody.
    const std::size_t victim = random_.below(4);
    const bool kills = victim < 2 && chosen_[victim].one_step;
    const unsigned long at = kills ? 1 + random_.below(80) : 0;
    const Fault fault{random_.chance(50) ? Fault::Kind::KillAll : Fault::Kind::KillCaller, 0};
    bench_.bring_back(workshop_.start);
    const Outcome outcome = run_at_once(victim, at, fault);
    if (stuck_) return;
    reopen(bench_);
    check(outcome, was_killed_ ? std::optional(victim) : std::nullopt);
  }

 private:
  struct Runner {
    std::unique_ptr<ProcessTree> tree;
    std::optional<Step> step;
    bool waits = false;  // for a lock that it did not get since the other one last did something
    bool ended = false;
  };

  Outcome run_at_once(std::size_t victim, unsigned long at, const Fault& fault) {
    std::array<Runner, 2> runners;
    for (std::size_t i = 0; i < 2; ++i)
      runners[i].tree = bench_.run_in_lab(chosen_[i].words, i == 0 ? "a" : "b");
    // Bursts of some length, else the two would go side by side and never far apart.
    std::size_t turn = random_.below(2);
    unsigned long burst = 0;
    while (true) {
      for (Runner& runner : runners) await(runner);
      if (runners[0].ended && runners[1].ended) break;
      if (all_wait(runners)) {
        stuck_ = true;
        report(tally_, Finding::Stuck, "everybody waits for a lock", replay_);
        for (Runner& runner : runners) runner.tree->kill_all();
        break;
      }
      if (burst == 0) {
        turn = random_.below(2);
        burst = 1 + random_.below(random_.chance(50) ? 3 : 40);
      }
      if (runners[turn].ended || runners[turn].waits) turn = 1 - turn;
      --burst;
      step(runners, turn, turn == victim && at != 0 && runners[turn].step->number == at ? fault : Fault{});
    }
    Outcome outcome;
    for (std::size_t i = 0; i < 2; ++i) {
      outcome.status[i] = runners[i].tree->status();
      if (runners[i].tree->hung()) {
        stuck_ = true;
        report(tally_, Finding::Stuck, "it did not end: " + runners[i].tree->output(), replay_);
      }
    }
    return outcome;
  }

  static void await(Runner& runner) {
    if (runner.ended || runner.step) return;
    runner.step = runner.tree->next();
    runner.ended = !runner.step;
  }

  static bool all_wait(const std::array<Runner, 2>& runners) {
    return std::ranges::all_of(runners, [](const Runner& runner) { return runner.ended || runner.waits; });
  }

  void step(std::array<Runner, 2>& runners, std::size_t turn, const Fault& fault) {
    Runner& runner = runners[turn];
    const bool looks_at_lock = runner.step->operation == "flock";
    runner.step.reset();
    runner.tree->answer(fault);
    if (fault.kind != Fault::Kind::None) {
      ++tally_.kills;
      was_killed_ = true;
    }
    await(runner);
    // It looked again and has not got it: not before the other one has done something.
    const bool still_waits = looks_at_lock && runner.step && runner.step->operation == "flock";
    runner.waits = still_waits;
    if (!still_waits) runners[1 - turn].waits = false;
  }

  Outcome run_one_by_one(const std::vector<std::size_t>& order) {
    bench_.bring_back(workshop_.start);
    Outcome outcome;
    outcome.status = {-1, -1};
    for (const std::size_t i : order) outcome.status[i] = bench_.run(chosen_[i].words).status;
    outcome.state = read_model(bench_.root()).text();
    return outcome;
  }

  /// True if the outcome is that of some order, in which `killed` may have come to its end or done nothing.
  bool is_explained(const Outcome& outcome, std::optional<std::size_t> killed) {
    std::vector<std::vector<std::size_t>> orders = {{0, 1}, {1, 0}};
    if (killed) orders.push_back({1 - *killed});
    // Refused, because the other one was at work: then it did nothing.
    for (std::size_t i = 0; i < 2; ++i) {
      if (outcome.status[i] != 0) orders.push_back({1 - i});
    }
    const Image found = bench_.save();
    bool explained = false;
    for (const auto& order : orders) {
      Outcome expected = run_one_by_one(order);
      for (std::size_t i = 0; i < 2; ++i) {
        const bool did_nothing = expected.status[i] == -1;
        if (killed == i || did_nothing) expected.status[i] = outcome.status[i];
      }
      explained = explained || expected == outcome;
      if (!explained) nearest_ = difference(expected.state, outcome.state);
    }
    bench_.bring_back(found);
    return explained;
  }

  void check(Outcome outcome, std::optional<std::size_t> killed) {
    outcome.state = read_model(bench_.root()).text();
    report_faults(tally_, find_faults(bench_.root()), replay_);
    if (!is_explained(outcome, killed))
      report(tally_, Finding::ThirdState,
             fmt::format("no order of the two ends in status {} and {} with this\n{}", outcome.status[0],
                         outcome.status[1], nearest_),
             replay_);
    const RunResult collected = bench_.run({"gc"});
    if (collected.status != 0)
      report(tally_, collected.status < 0 ? Finding::Stuck : Finding::Loss, "gc: " + collected.err, replay_);
    report_faults(tally_, find_orphans(bench_.root()), replay_);
    if (const std::string kept = read_model(bench_.root()).text(); kept != outcome.state)
      report(tally_, Finding::Loss, "gc changed\n" + difference(outcome.state, kept), replay_);
  }

  Bench& bench_;
  const Workshop& workshop_;
  Random random_;
  Tally& tally_;
  std::array<Candidate, 2> chosen_;
  std::string replay_;
  std::string nearest_;
  bool stuck_ = false;
  bool was_killed_ = false;
};

}  // namespace

void run_pairs(Bench& bench, std::uint64_t seed, unsigned long count, Tally& tally) {
  std::optional<Workshop> workshop;
  std::uint64_t of_store = 0;
  for (std::uint64_t i = seed; i < seed + count; ++i) {
    if (!workshop || of_store != i / kPairsPerStore) {
      of_store = i / kPairsPerStore;
      workshop.emplace(bench, of_store);
    }
    try {
      Pair(bench, *workshop, i, tally).run();
    } catch (const Error& error) {
      report(tally, Finding::Loss, std::string("the store cannot be looked at: ") + error.what(),
             fmt::format("--pairs 1 --seed {}", i));
    }
    ++tally.pairs;
  }
}

}  // namespace karapace::lab
