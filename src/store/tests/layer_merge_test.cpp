// SPDX-License-Identifier: Apache-2.0
#include "karapace/store/layer_merge.hpp"

#include <algorithm>

#include "karapace/base/xattr.hpp"
#include "karapace/store/tree_diff.hpp"
#include "random_tree.hpp"
#include "test_store.hpp"

namespace karapace::store {
namespace {

using namespace testing;

IndexEntry entry(std::string path, EntryType type, std::string target = {}) {
  IndexEntry result;
  result.path = std::move(path);
  result.type = type;
  result.mode = type == EntryType::Whiteout || type == EntryType::HardLink ? 0 : 0755;
  result.link_target = std::move(target);
  if (type == EntryType::Regular) result.content = hash_bytes({});
  return result;
}
IndexEntry opaque(std::string path) {
  IndexEntry result = entry(std::move(path), EntryType::Directory);
  result.opaque = true;
  return result;
}
const IndexEntry kRoot = entry("", EntryType::Directory);
using enum EntryType;

TEST(LayerMerge, WhiteoutsHideAndStay) {
  EXPECT_EQ(
      merge_layers({kRoot, entry("a", Directory), entry("a/b", Regular)}, {kRoot, entry("a", Whiteout)}),
      (std::vector{kRoot, entry("a", Whiteout)}));
}

TEST(LayerMerge, DirectoryOnAWhiteoutIsOpaque) {
  EXPECT_EQ(merge_layers({kRoot, entry("a", Whiteout)}, {kRoot, entry("a", Directory)}),
            (std::vector{kRoot, opaque("a")}));
  EXPECT_EQ(merge_layers({kRoot, entry("a", Regular)}, {kRoot, entry("a", Directory)}),
            (std::vector{kRoot, opaque("a")}));
}

TEST(LayerMerge, OpaqueDirectoryHidesWhatWasInIt) {
  EXPECT_EQ(merge_layers({kRoot, entry("a", Directory), entry("a-b", Regular), entry("a/b", Directory),
                          entry("a/b/c", Regular)},
                         {kRoot, opaque("a"), entry("a/new", Regular)}),
            (std::vector{kRoot, opaque("a"), entry("a-b", Regular), entry("a/new", Regular)}));
}

TEST(LayerMerge, GroupThatLosesItsFirstNameKeepsTheOthersTogether) {
  EXPECT_EQ(merge_layers({kRoot, entry("a", Regular), entry("b", HardLink, "a"), entry("c", HardLink, "a")},
                         {kRoot, entry("a", Whiteout)}),
            (std::vector{kRoot, entry("a", Whiteout), entry("b", Regular), entry("c", HardLink, "b")}));
}

std::vector<IndexEntry> without_idle(std::vector<IndexEntry> layer,
                                     std::vector<std::vector<IndexEntry>> below) {
  std::ranges::reverse(below);
  return drop_idle_whiteouts(std::move(layer), [&]() -> std::optional<std::vector<IndexEntry>> {
    if (below.empty()) return std::nullopt;
    auto next = std::move(below.back());
    below.pop_back();
    return next;
  });
}

TEST(LayerMerge, WhiteoutInADirectoryThatNoLayerBelowHasIsDropped) {
  const std::vector layer{kRoot, entry("d", Directory), entry("d/kept", Regular), entry("d/x", Whiteout)};
  const std::vector without{kRoot, entry("d", Directory), entry("d/kept", Regular)};
  EXPECT_EQ(without_idle(layer, {}), without);
  EXPECT_EQ(without_idle(layer, {{kRoot, entry("other", Directory)}}), without);
  EXPECT_EQ(without_idle(layer, {{kRoot, entry("d", Directory)}}), without);
}

TEST(LayerMerge, WhiteoutOfWhatALayerBelowShowsIsKept) {
  const std::vector layer{kRoot, entry("d", Directory), entry("d/x", Whiteout)};
  const std::vector has{kRoot, entry("d", Directory), entry("d/x", Regular)};
  EXPECT_EQ(without_idle(layer, {has}), layer);
  EXPECT_EQ(without_idle(layer, {{kRoot}, {kRoot, entry("d", Directory)}, has}), layer);
}

TEST(LayerMerge, WhiteoutOfWhatALayerBelowHidesAlreadyIsDropped) {
  const std::vector layer{kRoot, entry("d", Directory), entry("d/x", Whiteout)};
  const std::vector without{kRoot, entry("d", Directory)};
  const std::vector has{kRoot, entry("d", Directory), entry("d/x", Regular)};
  EXPECT_EQ(without_idle(layer, {{kRoot, entry("d", Directory), entry("d/x", Whiteout)}, has}), without);
  EXPECT_EQ(without_idle(layer, {{kRoot, opaque("d")}, has}), without);
  EXPECT_EQ(without_idle(layer, {{kRoot, entry("d", Whiteout)}, has}), without);
  EXPECT_EQ(without_idle({kRoot, opaque("d"), entry("d/x", Whiteout)}, {has}),
            (std::vector{kRoot, opaque("d")}));
}

class RandomMerge : public StoreTest, public ::testing::WithParamInterface<std::uint32_t> {
 protected:
  std::vector<IndexEntry> make(const std::string& name, std::uint32_t seed) {
    const UniqueFd tree = dir.make_dir(name);
    fill_random_tree(tree, seed, TreeOptions{40, false});
    const testing::Sealed sealed = seal(tree);
    std::vector<IndexEntry> entries = decode_index(sealed.index);
    apply_mtimes(entries, sealed.mtimes);
    return entries;
  }
};

TEST_P(RandomMerge, MergedLayerShowsWhatTheStackShows) {
  const std::uint32_t seed = GetParam() * 10;
  const auto a = make("a", seed), b = make("b", seed + 1), c = make("c", seed + 2);
  EXPECT_EQ(merge_layers(merge_layers(a, b), c), merge_layers(a, merge_layers(b, c)));
  const auto merged = merge_layers(a, b);
  EXPECT_EQ(decode_index(encode_index(merged)).size(), merged.size()) << "canonical";
  const UniqueFd target = dir.make_dir("merged");
  lay_out_tree(merged, layout.objects(), target, true);
  std::vector<UniqueFd> one, two;
  one.push_back(open_directory(dir.fd(), "merged"));
  for (const char* name : {"b", "a"}) two.push_back(open_directory(dir.fd(), name));
  const UniqueFd upper = open_directory(dir.fd(), "c");
  EXPECT_EQ(diff_upper(upper, one, {}, CancelToken::process()),
            diff_upper(upper, two, {}, CancelToken::process()));
  // And in the other direction: seen from a tree of everything, nothing is missing.
  const auto all = visible_tree(merge_layers(merged, c));
  const UniqueFd whole = dir.make_dir("whole");
  lay_out_tree(all, layout.objects(), whole, true);
  std::vector<UniqueFd> three;
  for (const char* name : {"c", "b", "a"}) three.push_back(open_directory(dir.fd(), name));
  set_xattr(dir.fd(), "whole", "user.overlay.opaque", "y");
  EXPECT_TRUE(diff_upper(whole, three, {}, CancelToken::process()).empty());
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomMerge, ::testing::Range(1U, 30U));

}  // namespace
}  // namespace karapace::store
