// SPDX-License-Identifier: Apache-2.0
// Every operation that changes a store, with a store to do it on.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bench.hpp"
#include "model.hpp"

namespace karapace::lab {

struct Operation {
  std::string name;
  /// Fills an empty bench; returns the command line.
  std::function<std::vector<std::string>(Bench&, Random&)> prepare;
  /// Steps on the way that are told to users as states of their own, from the old and the new state.
  std::function<std::vector<StoreModel>(const StoreModel& before, const StoreModel& after)> between = {};
  bool way_is_enough = false;  // success may also be reported for those
  bool again = true;           // once done, it may be asked for again and changes nothing
  bool damaged = false;        // the store is damaged before, and is healed
};

[[nodiscard]] const std::vector<Operation>& operations();

}  // namespace karapace::lab
