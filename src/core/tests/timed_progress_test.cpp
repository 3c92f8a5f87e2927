// SPDX-License-Identifier: Apache-2.0
#include "timed_progress.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace karapace::core {
namespace {

TEST(TimedProgress, AllStepsTogetherAreTheWholeTimeFromTheBeginning) {
  constexpr std::chrono::milliseconds kBefore(5000);
  const auto began = TimedProgress::Clock::now() - kBefore;
  TimedProgress progress(no_progress(), began);
  progress.part("base");
  progress.step("unpack", "x");
  progress.quiet_step("seal");
  progress.part("packages");
  progress.step("unpack", "y");
  progress.step("seal", "y");
  progress.step("unpack", "z");
  const auto times = progress.finish();
  const auto whole =
      std::chrono::duration_cast<std::chrono::milliseconds>(TimedProgress::Clock::now() - began);
  std::chrono::milliseconds sum{0};
  std::vector<std::string> names;
  for (const StepTime& time : times) {
    sum += time.time;
    names.push_back(time.part + ":" + time.step);
  }
  EXPECT_EQ(names, (std::vector<std::string>{":prepare", "base:unpack", "base:seal", "packages:unpack",
                                             "packages:seal"}));
  EXPECT_GE(times.front().time, kBefore);
  EXPECT_GE(sum, kBefore);
  EXPECT_LE(sum, whole);
}

}  // namespace
}  // namespace karapace::core
