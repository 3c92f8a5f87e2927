// SPDX-License-Identifier: Apache-2.0
// Operations on a disk whose power is cut.
#pragma once

#include "disk.hpp"
#include "walk.hpp"

namespace karapace::lab {

/// The power goes while every process stands before a call, or when the run has ended.
struct DiskCut {
  unsigned long step = 0;
  Unwritten unwritten = Unwritten::Everything;
  [[nodiscard]] std::string text() const;  // "17", "17+log"
  [[nodiscard]] static DiskCut parse(const std::string& text);
};

/// `count` cuts, drawn by the seed; the bench lies on the disk.
void cut_disk(Bench& bench, Disk& disk, const Operation& operation, std::uint64_t seed, unsigned long count,
              Tally& tally);
void cut_disk_at(Bench& bench, Disk& disk, const Operation& operation, std::uint64_t seed, const DiskCut& cut,
                 Tally& tally);

}  // namespace karapace::lab
