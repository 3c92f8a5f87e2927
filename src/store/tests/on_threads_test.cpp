// SPDX-License-Identifier: Apache-2.0
#include "on_threads.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

namespace karapace::store {
namespace {

TEST(OnThreads, EachIndexIsWorkedOnOnceAndOnlyTheCallerReports) {
  constexpr std::size_t kCount = 10'000;
  std::vector<std::atomic<int>> calls(kCount);
  std::atomic<bool> others_report{false};
  const auto caller = std::this_thread::get_id();
  for_each_index(kCount, 8, [&](std::size_t index, bool reports) {
    ++calls[index];
    if (reports != (std::this_thread::get_id() == caller)) others_report = true;
  });
  EXPECT_TRUE(std::ranges::all_of(calls, [](const auto& count) { return count == 1; }));
  EXPECT_FALSE(others_report);
}

TEST(OnThreads, WhatOneThrowsEndsAllAndIsThrown) {
  constexpr std::size_t kCount = 10'000'000;
  std::atomic<std::size_t> calls{0};
  EXPECT_THROW(for_each_index(kCount, 8,
                              [&](std::size_t index, bool) {
                                ++calls;
                                if (index == 100) throw std::runtime_error("enough");
                              }),
               std::runtime_error);
  EXPECT_LT(calls, kCount);
}

TEST(OnThreads, NothingToDoIsDone) {
  for_each_index(0, 8, [](std::size_t, bool) { FAIL(); });
}

}  // namespace
}  // namespace karapace::store
