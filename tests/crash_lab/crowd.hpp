// SPDX-License-Identifier: Apache-2.0
// Many processes at once on one store, at full speed, with some of them ended at random moments.
#pragma once

#include <chrono>
#include <cstdint>

#include "bench.hpp"
#include "report.hpp"

namespace karapace::lab {

/// `clients` at a time for so long. At the end everything that was reported as done must be there, the store
/// whole, and nothing in it that nothing needs. The seed decides who asks for what; the rest is the
/// machine's.
void run_crowd(Bench& bench, std::uint64_t seed, unsigned clients, std::chrono::seconds duration,
               Tally& tally);

}  // namespace karapace::lab
