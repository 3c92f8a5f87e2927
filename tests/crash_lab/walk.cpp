// SPDX-License-Identifier: Apache-2.0
#include "walk.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "karapace/base/cancel.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/progress.hpp"
#include "karapace/core/engine.hpp"

namespace karapace::lab {
namespace {

constexpr Fault::Kind kKills[] = {Fault::Kind::KillCaller, Fault::Kind::KillLeader, Fault::Kind::KillAll};

bool is_kill(const Fault& fault) {
  return fault.kind != Fault::Kind::None && fault.kind != Fault::Kind::Error;
}

/// The run with its disturbance. True if it reported success.
bool run_disturbed(Bench& bench, const Experiment& experiment, const Disturbance& disturbance,
                   const std::string& replay, Tally& tally) {
  const auto tree = bench.run_in_lab(experiment.words);
  while (const auto step = tree->next()) {
    Fault fault;
    if (step->number == disturbance.step) {
      fault = disturbance.fault;
      const Step& expected = experiment.steps.at(step->number - 1);
      if (step->operation != expected.operation || step->program != expected.program)
        report(tally, Finding::NotRepeatable,
               fmt::format("step {} is {} of {}, it was {} of {}", step->number, step->operation,
                           step->program, expected.operation, expected.program),
               replay);
    } else if (disturbance.persistent && step->number > disturbance.step) {
      const std::vector<int>& possible = errnos_of(step->operation);
      if (std::ranges::find(possible, disturbance.fault.error_number) != possible.end())
        fault = disturbance.fault;
    }
    tree->answer(fault);
  }
  if (tree->hung()) report(tally, Finding::Stuck, "the run did not end", replay);
  if (is_kill(disturbance.fault)) {
    ++tally.kills;
  } else {
    ++tally.errors;
  }
  return tree->status() == 0;
}

void kill_recovery(Bench& bench, unsigned long at, Tally& tally) {
  const auto tree = bench.run_in_lab({"gc"});
  while (const auto step = tree->next()) {
    tree->answer(step->number == at ? Fault{Fault::Kind::KillAll, 0} : Fault{});
    if (step->number == at) ++tally.kills;
  }
}

void expect_known(const Experiment& experiment, const std::string& found, const char* when,
                  const std::string& replay, Tally& tally) {
  if (experiment.is_known_state(found)) return;
  std::string nearest = "old state:\n" + difference(experiment.before.text(), found);
  const auto compare = [&](const char* name, const StoreModel& model) {
    std::string text = std::string(name) + difference(model.text(), found);
    if (text.size() < nearest.size()) nearest = std::move(text);
  };
  compare("new state:\n", experiment.after);
  for (const StoreModel& model : experiment.between) compare("state on the way:\n", model);
  report(tally, Finding::ThirdState, fmt::format("{}, against the {}", when, nearest), replay);
}

void check_again(Bench& bench, const Experiment& experiment, const std::string& replay, Tally& tally) {
  const RunResult result = bench.run(experiment.words);
  if (result.status != 0) {
    report(tally, result.status < 0 ? Finding::Stuck : Finding::Loss,
           fmt::format("done again it ends with {}: {}", result.status, result.err), replay);
    return;
  }
  const std::string after = read_model(bench.root()).text();
  if (after == experiment.before.text() && after != experiment.after.text()) {
    report(tally, Finding::ThirdState, "done again it changed nothing", replay);
  } else {
    expect_known(experiment, after, "done again", replay, tally);
  }
  report_faults(tally, find_faults(bench.root()), replay);
}

std::string replay_of(const Experiment& experiment, const Disturbance& disturbance) {
  return fmt::format("--operation {} --seed {} --at {}", experiment.operation->name, experiment.seed,
                     disturbance.text());
}

}  // namespace

bool Experiment::is_known_state(const std::string& text) const {
  return text == before.text() || text == after.text() ||
         std::ranges::any_of(between, [&](const StoreModel& model) { return model.text() == text; });
}

Experiment prepare(Bench& bench, const Operation& operation, std::uint64_t seed) {
  Experiment experiment;
  experiment.operation = &operation;
  experiment.seed = seed;
  bench.clear();
  Random random(seed);
  experiment.words = operation.prepare(bench, random);
  experiment.start = bench.save();
  experiment.before = read_model(bench.root());
  // Brought back as every later time, because the order of names in a directory depends on its history.
  bench.bring_back(experiment.start);
  const auto tree = bench.run_in_lab(experiment.words);
  while (auto step = tree->next()) {
    tree->answer({});
    experiment.steps.push_back(std::move(*step));
  }
  if (tree->status() != 0)
    throw Error(ErrorCode::External, fmt::format("{} (seed {}) ends with {}: {}", operation.name, seed,
                                                 tree->status(), tree->output()));
  experiment.after = read_model(bench.root());
  if (operation.between) experiment.between = operation.between(experiment.before, experiment.after);
  return experiment;
}

void reopen(const Bench& bench) {
  try {
    CancelToken never;
    core::Engine(bench.store(), core::Access::Write, no_progress(), never);
  } catch (const store::FormatError&) {
    // migrate has not got there yet; nothing but migrate opens it.
  }
}

std::string Disturbance::text() const {
  return fmt::format("{}:{}{}{}", step, fault.text(), persistent ? "+" : "",
                     recovery_step > 0 ? fmt::format(",{}", recovery_step) : "");
}

Disturbance Disturbance::parse(const std::string& text) {
  Disturbance result;
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos) throw Error(ErrorCode::InvalidInput, "not <step>:<fault>: " + text);
  result.step = std::stoul(text.substr(0, colon));
  std::string fault = text.substr(colon + 1);
  if (const std::size_t comma = fault.find(','); comma != std::string::npos) {
    result.recovery_step = std::stoul(fault.substr(comma + 1));
    fault.resize(comma);
  }
  result.persistent = fault.ends_with('+');
  if (result.persistent) fault.pop_back();
  result.fault = Fault::parse(fault);
  return result;
}

void check_reopened(Bench& bench, const Experiment& experiment, bool done, const std::string& replay,
                    Tally& tally) {
  reopen(bench);
  const std::string found = read_model(bench.root()).text();
  const bool is_new = found == experiment.after.text();
  expect_known(experiment, found, "reopened", replay, tally);
  // A known state on the way (a safety snapshot was taken) is not what success promises.
  const bool is_enough = is_new || (experiment.operation->way_is_enough && found != experiment.before.text());
  if (done && !is_enough)
    report(tally, Finding::Loss, "success was reported:\n" + difference(experiment.after.text(), found),
           replay);
  const bool as_damaged_as_before = experiment.operation->damaged && !done;
  if (!as_damaged_as_before) report_faults(tally, find_faults(bench.root()), replay);

  const bool old_format = experiment.operation->name == "migrate" && !is_new;
  if (!old_format && !as_damaged_as_before) {
    const RunResult collected = bench.run({"gc"});
    if (collected.status != 0)
      report(tally, collected.status < 0 ? Finding::Stuck : Finding::Loss,
             fmt::format("gc ends with {}: {}", collected.status, collected.err), replay);
    report_faults(tally, find_orphans(bench.root()), replay);
    if (const std::string kept = read_model(bench.root()).text(); kept != found)
      report(tally, Finding::Loss, "gc changed\n" + difference(found, kept), replay);
  }
  if (!is_new || experiment.operation->again) check_again(bench, experiment, replay, tally);
}

void disturb(Bench& bench, const Experiment& experiment, const Disturbance& disturbance, Tally& tally) {
  const std::string replay = replay_of(experiment, disturbance);
  try {
    bench.bring_back(experiment.start);
    const bool done = run_disturbed(bench, experiment, disturbance, replay, tally);
    if (disturbance.recovery_step > 0) kill_recovery(bench, disturbance.recovery_step, tally);
    check_reopened(bench, experiment, done, replay, tally);
  } catch (const Error& error) {
    report(tally, Finding::Loss, std::string("the store cannot be looked at: ") + error.what(), replay);
  }
}

void walk_all(Bench& bench, const Operation& operation, std::uint64_t seed, Tally& tally) {
  const Experiment experiment = prepare(bench, operation, seed);
  for (const Step& step : experiment.steps) {
    for (const Fault::Kind kind : kKills) disturb(bench, experiment, {step.number, {kind, 0}}, tally);
    for (const int number : errnos_of(step.operation)) {
      for (const bool persistent : {false, true})
        disturb(bench, experiment, {step.number, {Fault::Kind::Error, number}, persistent}, tally);
    }
  }
}

void walk_kills(Bench& bench, const Operation& operation, std::uint64_t seed, unsigned long limit,
                Tally& tally) {
  const Experiment experiment = prepare(bench, operation, seed);
  Random random(seed);
  std::vector<Disturbance> all;
  for (const Step& step : experiment.steps) {
    for (const Fault::Kind kind : kKills) {
      // Of the leader's own steps these two are one.
      if (kind == Fault::Kind::KillLeader && step.program == "karapace") continue;
      all.push_back({step.number, {kind, 0}, false, random.chance(20) ? 1 + random.below(60) : 0});
    }
  }
  for (std::size_t i = all.size(); i > 1; --i) std::swap(all[i - 1], all[random.below(i)]);
  const unsigned long enough = tally.kills + limit;
  for (const Disturbance& disturbance : all) {
    if (tally.kills >= enough) return;
    disturb(bench, experiment, disturbance, tally);
  }
}

void walk_some(Bench& bench, const Operation& operation, std::uint64_t seed, unsigned long count,
               Tally& tally) {
  const Experiment experiment = prepare(bench, operation, seed);
  Random random(seed);
  for (unsigned long i = 0; i < count; ++i) {
    const Step& step = random.pick(experiment.steps);
    Disturbance disturbance{step.number, {kKills[random.below(3)], 0}};
    if (random.chance(50)) {
      disturbance.fault = {Fault::Kind::Error, random.pick(errnos_of(step.operation))};
      disturbance.persistent = random.chance(50);
    }
    disturb(bench, experiment, disturbance, tally);
  }
}

}  // namespace karapace::lab
