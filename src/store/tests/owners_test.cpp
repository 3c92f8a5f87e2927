// SPDX-License-Identifier: Apache-2.0
// Trees with many owners, where we may give files away: as root, or as root of a mapped user namespace.
#include "random_tree.hpp"
#include "test_store.hpp"

namespace karapace::store {
namespace {

class MappedTree : public testing::StoreTest {};

TEST_F(MappedTree, OwnersComeBackWhenLaidOutAndAreZeroInAFlatIndex) {
  for (std::uint32_t seed = 100; seed < 106; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const std::string number = std::to_string(seed);
    const UniqueFd source = dir.make_dir("source" + number);
    testing::fill_random_tree(source, seed, {80, true});
    const std::vector<IndexEntry> before = scan(source, false);
    for (const IndexEntry& entry : scan(source, true)) EXPECT_EQ(entry.uid + entry.gid, 0U);
    const testing::Sealed sealed = seal(source, {.flat = false});
    std::vector<IndexEntry> entries = decode_index(sealed.index);
    apply_mtimes(entries, sealed.mtimes);
    EXPECT_EQ(entries, before);
    EXPECT_EQ(scan(source, false), before);
    const UniqueFd target = dir.make_dir("target" + number);
    lay_out_tree(entries, layout.objects(), target, false);
    EXPECT_EQ(scan(target, false), before);
  }
}

}  // namespace
}  // namespace karapace::store
