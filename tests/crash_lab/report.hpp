// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace karapace::lab {

/// What a campaign counts, over all of its processes.
struct Tally {
  unsigned long kills = 0;
  unsigned long errors = 0;        // calls that failed
  unsigned long pairs = 0;         // of operations at once
  unsigned long power_cuts = 0;    // states after one
  unsigned long losses = 0;        // something of value is gone or damaged, or rubbish stays for ever
  unsigned long third_states = 0;  // neither before nor after
  unsigned long stuck = 0;         // locks that nobody holds, runs that do not end
  unsigned long not_repeatable = 0;

  [[nodiscard]] bool good() const { return losses + third_states + stuck + not_repeatable == 0; }
  void add(const Tally& other);
  [[nodiscard]] std::string text() const;
};

enum class Finding { Loss, ThirdState, Stuck, NotRepeatable };

/// Counts it and tells how to see it again.
void report(Tally& tally, Finding finding, std::string_view what, std::string_view replay);
void report_faults(Tally& tally, const std::vector<std::string>& faults, std::string_view replay);

}  // namespace karapace::lab
