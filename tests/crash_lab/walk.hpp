// SPDX-License-Identifier: Apache-2.0
// One operation, disturbed at one step, and then everything that must hold.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "operation.hpp"
#include "report.hpp"

namespace karapace::lab {

/// An operation with a store that a seed filled, and what it does when nobody disturbs it.
struct Experiment {
  const Operation* operation = nullptr;
  std::uint64_t seed = 0;
  std::vector<std::string> words;
  Image start;
  StoreModel before;
  StoreModel after;
  std::vector<StoreModel> between;
  std::vector<Step> steps;

  [[nodiscard]] bool is_known_state(const std::string& text) const;
};
/// Throws if the operation fails although nobody disturbs it.
[[nodiscard]] Experiment prepare(Bench& bench, const Operation& operation, std::uint64_t seed);

struct Disturbance {
  unsigned long step = 0;
  Fault fault;
  bool persistent = false;                 // an error: all later calls that can fail like this do
  unsigned long recovery_step = 0;         // kills the next command there, too
  [[nodiscard]] std::string text() const;  // "17:kill" "17:ENOSPC+" "17:kill,4"
  [[nodiscard]] static Disturbance parse(const std::string& text);
};

void disturb(Bench& bench, const Experiment& experiment, const Disturbance& disturbance, Tally& tally);
/// What a clean process does first when it opens a store for writing.
void reopen(const Bench& bench);
/// What must hold of the store on the bench after a crash: it is opened again by a clean process, is in a
/// state that is known, loses nothing by gc, and does the operation again. `done`: success was reported.
void check_reopened(Bench& bench, const Experiment& experiment, bool done, const std::string& replay,
                    Tally& tally);

/// Every kill and every errno at every step.
void walk_all(Bench& bench, const Operation& operation, std::uint64_t seed, Tally& tally);
/// All ways to kill at every step, every few of them with a second kill in the recovery; or, drawn from them,
/// about `limit` kills.
void walk_kills(Bench& bench, const Operation& operation, std::uint64_t seed, unsigned long limit,
                Tally& tally);
/// `count` random disturbances.
void walk_some(Bench& bench, const Operation& operation, std::uint64_t seed, unsigned long count,
               Tally& tally);

}  // namespace karapace::lab
