// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "karapace/base/error.hpp"
#include "karapace/store/layer.hpp"
#include "karapace/store/tree_diff.hpp"

namespace karapace::store {
namespace {

IndexEntry entry(std::string_view path, EntryType type, std::uint32_t mode) {
  IndexEntry result;
  result.path = path;
  result.type = type;
  result.mode = mode;
  return result;
}

IndexEntry file(std::string_view path, std::string_view content, std::uint32_t mode = 0644) {
  IndexEntry result = entry(path, EntryType::Regular, mode);
  result.size = content.size();
  result.content = hash_bytes(content);
  return result;
}

std::vector<IndexEntry> some_tree() {
  std::vector<IndexEntry> entries = {
      entry("", EntryType::Directory, 0755),  file("a", "one"),     file("b", "two", 04755),
      entry("c", EntryType::Directory, 0755), file("c/d", "three"), entry("e", EntryType::HardLink, 0),
      entry("f", EntryType::Symlink, 0777)};
  entries[5].link_target = "a";
  entries[6].link_target = "c/d";
  return entries;
}

using Edit = std::function<void(std::vector<IndexEntry>&)>;

std::vector<TreeChange> changes(const Edit& edit, ModeView modes = ModeView::Identity) {
  std::vector<IndexEntry> to = some_tree();
  edit(to);
  const std::string from_bytes = encode_index(some_tree());
  const std::string to_bytes = encode_index(to);
  return diff_indexes(IndexReader(from_bytes), IndexReader(to_bytes), modes);
}

using Changes = std::vector<TreeChange>;
using What = std::vector<std::string>;

TEST(IndexDiff, TheSameLayerHasNoDifferenceAndTimesAreNone) {
  EXPECT_EQ(changes([](auto& tree) { tree[1].mtime_ns = 7; }), Changes{});
}

TEST(IndexDiff, EveryDifferenceIsNamedForWhatItIs) {
  const auto modified = [](const std::string& path, const What& what) {
    return Changes{{path, ChangeKind::Modified, what}};
  };
  EXPECT_EQ(changes([](auto& tree) { tree[1] = file("a", "One"); }), modified("a", {"content"}));
  EXPECT_EQ(changes([](auto& tree) { tree[1].mode = 0600; }), modified("a", {"mode"}));
  EXPECT_EQ(changes([](auto& tree) { tree[1].gid = 42; }), modified("a", {"owner"}));
  EXPECT_EQ(changes([](auto& tree) { tree[1].xattrs = {{"user.x", "y"}}; }), modified("a", {"xattrs"}));
  EXPECT_EQ(changes([](auto& tree) { tree[3].opaque = true; }), modified("c", {"opaque"}));
  EXPECT_EQ(changes([](auto& tree) { tree[6].link_target = "a"; }), modified("f", {"target"}));
  EXPECT_EQ(changes([](auto& tree) { tree[5].link_target = "b"; }), modified("e", {"links"}));
  EXPECT_EQ(changes([](auto& tree) { tree[5] = file("e", "one"); }), modified("e", {"links"}));
  EXPECT_EQ(changes([](auto& tree) { tree[6] = file("f", ""); }), modified("f", {"type"}));
  EXPECT_EQ(changes([](auto& tree) {
              tree[1] = file("a", "longer", 0600);
              tree[1].uid = 1;
            }),
            modified("a", {"content", "mode", "owner"}));
}

TEST(IndexDiff, WhatOnlyOneOfThemHasIsAddedOrRemoved) {
  EXPECT_EQ(changes([](auto& tree) { tree.pop_back(); }), (Changes{{"f", ChangeKind::Removed, {}}}));
  EXPECT_EQ(changes([](auto& tree) {
              tree.insert(tree.begin() + 2, file("aa", "new"));
              tree.push_back(file("g", "new"));
            }),
            (Changes{{"aa", ChangeKind::Added, {}}, {"g", ChangeKind::Added, {}}}));
  const std::string all = encode_index(some_tree());
  const std::string root = encode_index({entry("", EntryType::Directory, 0755)});
  EXPECT_EQ(diff_indexes(IndexReader(all), IndexReader(root)).size(), 6U);
  EXPECT_EQ(diff_indexes(IndexReader(root), IndexReader(all)).size(), 6U);
}

TEST(IndexDiff, AFlatTreeOnDiskHasNoSetuidBitsToMiss) {
  const Edit strip = [](auto& tree) { tree[2].mode = 0755; };
  EXPECT_EQ(changes(strip), (Changes{{"b", ChangeKind::Modified, {"mode"}}}));
  EXPECT_EQ(changes(strip, ModeView::Stripped), Changes{});
}

}  // namespace
}  // namespace karapace::store
