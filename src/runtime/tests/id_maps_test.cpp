// SPDX-License-Identifier: Apache-2.0
#include "id_maps.hpp"

#include <gtest/gtest.h>

#include "host_user.hpp"

namespace karapace::runtime {
namespace {

std::uint64_t total(const std::vector<IdExtent>& extents) {
  std::uint64_t count = 0;
  for (const IdExtent& extent : extents) count += extent.count;
  return count;
}

TEST(SubidRanges, AreFoundByNameAndByNumber) {
  const auto ranges =
      parse_subid_ranges("root:1:2\nkim:100000:65536\n1000:300000:10\nkimberly:5:5\n", "kim", 1000);
  ASSERT_EQ(ranges.size(), 2U);
  EXPECT_EQ(ranges[0].start, 100000U);
  EXPECT_EQ(ranges[1].count, 10U);
}

TEST(SubidRanges, NonsenseLinesAreNoRanges) {
  EXPECT_TRUE(parse_subid_ranges(
                  "kim:\nkim\nkim:x:5\nkim:5:\nkim:5:0\nkim:4294967290:100\nkim:1:99999999999\n", "kim", 7)
                  .empty());
}

TEST(MappedExtents, YourOwnIdIsItselfAndTheOthersFollowInOrder) {
  const auto extents = make_mapped_extents({{100000, 65536}}, 1000);
  ASSERT_TRUE(extents);
  ASSERT_EQ(extents->size(), 3U);
  EXPECT_EQ((*extents)[0], (IdExtent{0, 100000, 1000}));
  EXPECT_EQ((*extents)[1], (IdExtent{1000, 1000, 1}));
  EXPECT_EQ((*extents)[2], (IdExtent{1001, 101000, 64535}));
  EXPECT_EQ(total(*extents), 65536U);
}

TEST(MappedExtents, SeveralRangesAreUsedTogether) {
  const auto extents = make_mapped_extents({{100000, 30000}, {500000, 35535}}, 40000);
  ASSERT_TRUE(extents);
  EXPECT_EQ(total(*extents), 65536U);
  std::uint32_t next = 0;
  for (const IdExtent& extent : *extents) {
    EXPECT_EQ(extent.inside, next);
    next += extent.count;
  }
}

TEST(MappedExtents, OneIdTooFewIsRefused) {
  EXPECT_TRUE(make_mapped_extents({{100000, 65535}}, 1000));
  EXPECT_FALSE(make_mapped_extents({{100000, 65534}}, 1000));
  EXPECT_FALSE(make_mapped_extents({}, 1000));
}

TEST(MappedExtents, AnIdBeyondTheRangeIsAdded) {
  const auto extents = make_mapped_extents({{100000, 65536}}, 1234567);
  ASSERT_TRUE(extents);
  EXPECT_EQ(extents->back(), (IdExtent{1234567, 1234567, 1}));
  EXPECT_FALSE(make_mapped_extents({{100000, 65535}}, 1234567));
}

TEST(MappedExtents, TheLastIdCanBeYours) {
  const auto extents = make_mapped_extents({{100000, 65535}}, 65535);
  ASSERT_TRUE(extents);
  EXPECT_EQ(extents->back(), (IdExtent{65535, 65535, 1}));
  EXPECT_EQ(total(*extents), 65536U);
}

TEST(HostUser, IsReadFromThePasswdFile) {
  const auto user =
      find_passwd_entry("root:x:0:0:root:/root:/bin/x\nkim:x:1000:1001:K,,,:/home/kim:/bin/y\n", 1000);
  ASSERT_TRUE(user);
  EXPECT_EQ(user->name, "kim");
  EXPECT_EQ(user->gid, 1001U);
  EXPECT_EQ(user->home, "/home/kim");
  EXPECT_EQ(user->shell, "/bin/y");
}

TEST(HostUser, BrokenLinesAreSkipped) {
  EXPECT_FALSE(find_passwd_entry("kim:x:1000\nkim:x:1000x:5:::\n:::\n", 1000));
}

TEST(HostUser, ANameThatCouldEndALineOrAPathIsNone) {
  for (const char* name : {"", "a:b", "a\nb", "a/b", "..", "-x", "1x", "a b"})
    EXPECT_FALSE(is_user_name(name)) << name;
  for (const char* name : {"kim", "Kim.K-2", "_apt"}) EXPECT_TRUE(is_user_name(name)) << name;
}

}  // namespace
}  // namespace karapace::runtime
