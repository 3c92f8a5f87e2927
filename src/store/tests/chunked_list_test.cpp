// SPDX-License-Identifier: Apache-2.0
#include "chunked_list.hpp"

#include <gtest/gtest.h>

#include <string>

namespace karapace::store {
namespace {

class ChunkedListOfSize : public testing::TestWithParam<std::size_t> {};

TEST_P(ChunkedListOfSize, KeepsTheOrderAndIsEmptyAfterItWasTaken) {
  ChunkedList<std::string> list;
  for (std::size_t i = 0; i < GetParam(); ++i) list.push_back(std::to_string(i));
  ASSERT_EQ(list.size(), GetParam());
  if (GetParam() > 0) list[GetParam() / 2] = "changed";
  const std::vector<std::string> all = list.take();
  ASSERT_EQ(all.size(), GetParam());
  for (std::size_t i = 0; i < all.size(); ++i)
    ASSERT_EQ(all[i], i == GetParam() / 2 ? "changed" : std::to_string(i));
  EXPECT_EQ(list.size(), 0U);
  list.push_back("again");
  EXPECT_EQ(list.take(), std::vector<std::string>{"again"});
}

INSTANTIATE_TEST_SUITE_P(AroundTheEndOfAChunk, ChunkedListOfSize,
                         testing::Values(0, 1, ChunkedList<int>::kChunk - 1, ChunkedList<int>::kChunk,
                                         ChunkedList<int>::kChunk + 1, 3 * ChunkedList<int>::kChunk));

TEST(ChunkedList, WhatIsInItStaysWhereItIsWhileTheListGrows) {
  ChunkedList<int> list;
  list.push_back(1);
  const int* const first = &list[0];
  for (std::size_t i = 0; i < 10 * ChunkedList<int>::kChunk; ++i) list.push_back(2);
  EXPECT_EQ(&list[0], first);
}

}  // namespace
}  // namespace karapace::store
