// SPDX-License-Identifier: Apache-2.0
#include "report.hpp"

#include <fmt/format.h>

#include <cstdio>

namespace karapace::lab {

void Tally::add(const Tally& other) {
  kills += other.kills;
  errors += other.errors;
  pairs += other.pairs;
  power_cuts += other.power_cuts;
  losses += other.losses;
  third_states += other.third_states;
  stuck += other.stuck;
  not_repeatable += other.not_repeatable;
}

std::string Tally::text() const {
  std::string result =
      fmt::format("{} kills, {} losses, {} third states, {} stuck locks", kills, losses, third_states, stuck);
  if (errors > 0) result += fmt::format("; {} failed calls", errors);
  if (pairs > 0) result += fmt::format("; {} pairs at once", pairs);
  if (power_cuts > 0) result += fmt::format("; {} power cuts", power_cuts);
  if (not_repeatable > 0) result += fmt::format("; {} runs went another way than the first", not_repeatable);
  return result;
}

void report(Tally& tally, Finding finding, std::string_view what, std::string_view replay) {
  std::string_view kind = "LOSS";
  switch (finding) {
    case Finding::Loss:
      ++tally.losses;
      break;
    case Finding::ThirdState:
      ++tally.third_states;
      kind = "THIRD STATE";
      break;
    case Finding::Stuck:
      ++tally.stuck;
      kind = "STUCK";
      break;
    case Finding::NotRepeatable:
      ++tally.not_repeatable;
      kind = "NOT REPEATABLE";
      break;
  }
  fmt::print("{}: {}\n  again: scripts/crash-lab {}\n", kind, what, replay);
  std::fflush(stdout);
}

void report_faults(Tally& tally, const std::vector<std::string>& faults, std::string_view replay) {
  for (const std::string& fault : faults)
    report(tally, fault.starts_with("stuck") ? Finding::Stuck : Finding::Loss, fault, replay);
}

}  // namespace karapace::lab
