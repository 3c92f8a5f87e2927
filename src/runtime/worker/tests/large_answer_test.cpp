// SPDX-License-Identifier: Apache-2.0
#include "worker/large_answer.hpp"

#include <gtest/gtest.h>

namespace karapace {
namespace {

using store::ChangeKind;
using store::TreeChange;

std::string text_of(const std::vector<TreeChange>& changes) {
  const UniqueFd file = large_answer::make_file();
  large_answer::write_changes(file, changes);
  std::string text(static_cast<std::size_t>(stat_fd(file).st_size), '\0');
  EXPECT_EQ(::pread(file.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  return text;
}

TEST(LargeAnswer, ChangesOfAnyNamesArriveAsTheyAre) {
  std::vector<TreeChange> changes = {{"", ChangeKind::Modified, {"mode", "owner"}},
                                     {"a\nb,c", ChangeKind::Added, {}},
                                     {"\xff\xfe", ChangeKind::Removed, {}},
                                     {"deep/file", ChangeKind::Modified, {"content"}}};
  for (int i = 0; i < 5000; ++i) changes.push_back({"many/" + std::to_string(i), ChangeKind::Added, {}});
  EXPECT_EQ(large_answer::read_changes(text_of(changes)), changes);
  EXPECT_TRUE(large_answer::read_changes(text_of({})).empty());
}

TEST(LargeAnswer, WhatWasCutOffIsNoAnswer) {
  const std::string text = text_of({{"path", ChangeKind::Modified, {"content"}}});
  for (std::size_t length = 1; length < text.size(); ++length)
    EXPECT_THROW(static_cast<void>(large_answer::read_changes(text.substr(0, length))), Error) << length;
}

TEST(LargeAnswer, InodesArriveAsTheyAre) {
  const UniqueFd file = large_answer::make_file();
  large_answer::write_inodes(file, {{1, 2, 4096, 3, 1}, {1, 1UL << 40, 0, 65000, 7}});
  const std::vector<store::LinkedInode> read = large_answer::read_inodes(file);
  ASSERT_EQ(read.size(), 2U);
  EXPECT_EQ(read[1].inode, 1UL << 40);
  EXPECT_EQ(read[1].links, 65000U);
  EXPECT_EQ(read[1].names, 7U);
  EXPECT_TRUE(large_answer::read_inodes(large_answer::make_file()).empty());
}

}  // namespace
}  // namespace karapace
