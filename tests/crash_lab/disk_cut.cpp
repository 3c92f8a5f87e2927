// SPDX-License-Identifier: Apache-2.0
#include "disk_cut.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"

namespace karapace::lab {
namespace {

void sync_disk(const Disk& disk) {
  const UniqueFd top(::open(disk.directory().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!top || ::syncfs(top.get()) != 0) throw_errno("sync the disk");
}

/// True if success was reported before the power went.
bool run_until_cut(Bench& bench, Disk& disk, const Experiment& experiment, const DiskCut& cut) {
  const auto tree = bench.run_in_lab(experiment.words);
  bool off = false;
  while (const auto step = tree->next()) {
    if (step->number == cut.step) {
      disk.power_off(cut.unwritten);
      off = true;
      tree->kill_all();
      continue;
    }
    tree->answer({});
  }
  if (!off) disk.power_off(cut.unwritten);
  return !off && tree->status() == 0;
}

void cut_and_check(Bench& bench, Disk& disk, const Experiment& experiment, const DiskCut& cut, Tally& tally) {
  const std::string replay = fmt::format("--disk {} --operation {} --seed {} --off {}", disk.type(),
                                         experiment.operation->name, experiment.seed, cut.text());
  try {
    bench.bring_back(experiment.start);
    sync_disk(disk);
    const bool done = run_until_cut(bench, disk, experiment, cut);
    ++tally.power_cuts;
    if (!reap_orphans()) report(tally, Finding::Stuck, "a process does not end", replay);
    disk.power_on();
    check_reopened(bench, experiment, done, replay, tally);
  } catch (const Error& error) {
    report(tally, Finding::Loss, std::string("the store cannot be looked at: ") + error.what(), replay);
  }
}

constexpr const char* kWithLog = "+log";

}  // namespace

std::string DiskCut::text() const {
  return fmt::format("{}{}", step, unwritten == Unwritten::Bytes ? kWithLog : "");
}

DiskCut DiskCut::parse(const std::string& text) {
  return {std::stoul(text), text.ends_with(kWithLog) ? Unwritten::Bytes : Unwritten::Everything};
}

void cut_disk(Bench& bench, Disk& disk, const Operation& operation, std::uint64_t seed, unsigned long count,
              Tally& tally) {
  const Experiment experiment = prepare(bench, operation, seed);
  Random random(seed);
  for (unsigned long i = 0; i < count; ++i) {
    const unsigned long step = 1 + random.below(experiment.steps.size() + 1);
    cut_and_check(bench, disk, experiment,
                  {step, random.chance(50) ? Unwritten::Everything : Unwritten::Bytes}, tally);
  }
}

void cut_disk_at(Bench& bench, Disk& disk, const Operation& operation, std::uint64_t seed, const DiskCut& cut,
                 Tally& tally) {
  cut_and_check(bench, disk, prepare(bench, operation, seed), cut, tally);
}

}  // namespace karapace::lab
