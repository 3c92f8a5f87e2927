// SPDX-License-Identifier: Apache-2.0
// Two operations at once. A seed decides at every call which of them goes on, and whether one is ended.
#pragma once

#include <cstdint>

#include "bench.hpp"
#include "report.hpp"

namespace karapace::lab {

/// `count` pairs, one per seed from `seed` on.
void run_pairs(Bench& bench, std::uint64_t seed, unsigned long count, Tally& tally);

}  // namespace karapace::lab
