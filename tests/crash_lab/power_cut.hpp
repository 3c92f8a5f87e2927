// SPDX-License-Identifier: Apache-2.0
// What a power cut may leave of what was not synced.
#pragma once

#include "walk.hpp"

namespace karapace::lab {

/// One run with the state of the disk after each call, and the states that a power cut after call `after`
/// may leave:
/// - ordered: what was done to names and attributes survives up to some call between the last sync of
/// anything
///   and the cut, as on ext4 and xfs; bytes that were not synced since they were written are missing, zeros,
///   cut off in the middle, or there.
/// - unordered: all of it survives but one change of names, in a directory that was not synced since.
struct PowerCut {
  enum class Bytes { Missing, Zeros, Half, There };
  unsigned long after = 0;  // calls that were done
  unsigned long names = 0;  // calls whose changes of names survive; as `after` if `lost` is given
  Bytes bytes = Bytes::Missing;
  unsigned long lost = 0;                  // the call that is lost, or 0
  [[nodiscard]] std::string text() const;  // "40/37:missing", "40-38:there"
  [[nodiscard]] static PowerCut parse(const std::string& text);
};

/// At most `limit` states, drawn by the seed.
void cut_power(Bench& bench, const Operation& operation, std::uint64_t seed, unsigned long limit,
               Tally& tally);
void cut_power_at(Bench& bench, const Operation& operation, std::uint64_t seed, const PowerCut& cut,
                  Tally& tally);

}  // namespace karapace::lab
