// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <random>

#include "test_store.hpp"

namespace karapace::store {
namespace {

using testing::code_of;

IndexEntry directory(std::string path) {
  IndexEntry entry;
  entry.path = std::move(path);
  entry.type = EntryType::Directory;
  entry.mode = 0755;
  return entry;
}

IndexEntry file(std::string path, std::string_view content) {
  IndexEntry entry;
  entry.path = std::move(path);
  entry.mode = 0644;
  entry.size = content.size();
  entry.content = hash_bytes(content);
  return entry;
}

IndexEntry link(EntryType type, std::string path, std::string target) {
  IndexEntry entry;
  entry.path = std::move(path);
  entry.type = type;
  entry.link_target = std::move(target);
  if (type == EntryType::Symlink) entry.mode = 0777;
  return entry;
}

std::vector<IndexEntry> small_tree() {
  std::vector<IndexEntry> entries{directory(""), directory("a"), file("a-b", "x"), file("a/b", "content")};
  entries[1].opaque = true;
  entries[3].xattrs = {{"user.a", "1"}, {"user.b", std::string("\0x", 2)}};
  entries.push_back(link(EntryType::HardLink, "a/c", "a/b"));
  entries.push_back(link(EntryType::Symlink, "a/d", "../b\n\xff"));
  IndexEntry whiteout;
  whiteout.path = "gone";
  whiteout.type = EntryType::Whiteout;
  entries.push_back(whiteout);
  return entries;
}

TEST(IndexCodec, EveryTypeOfEntryComesBackAsItWas) {
  const std::vector<IndexEntry> entries = small_tree();
  EXPECT_EQ(decode_index(encode_index(entries)), entries);
}

// The name of every layer depends on these bytes: a change of the format must be seen here.
TEST(IndexCodec, BytesOfASmallTreeAreTheOnesInTheSpecification) {
  EXPECT_EQ(hash_bytes(encode_index(small_tree())).hex(),
            "9bd32d91fde3c8bdb1f8a72c9a24ade865b3d8ad3ac25e906df2eb389e244808");
  EXPECT_EQ(encode_index({directory("")}), std::string("KPLI\x01\0\0\0\x01\x01\0\xed\x03\0\0\0\0", 17));
}

TEST(IndexCodec, TimesAreBesideTheIdentityAndComeBack) {
  std::vector<IndexEntry> entries = small_tree();
  const std::string index = encode_index(entries);
  entries[0].mtime_ns = -1;
  entries[1].mtime_ns = INT64_MAX;
  EXPECT_EQ(encode_index(entries), index);
  std::vector<IndexEntry> decoded = decode_index(index);
  apply_mtimes(decoded, encode_mtimes(entries));
  EXPECT_EQ(decoded, entries);
  EXPECT_THROW(apply_mtimes(decoded, std::string(8, '\0')), CorruptError);
}

TEST(IndexCodec, EveryTruncationAndEveryExtraByteIsCorrupt) {
  const std::string bytes = encode_index(small_tree());
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_THROW(static_cast<void>(decode_index(std::string_view(bytes).substr(0, length))), CorruptError)
        << length;
  }
  EXPECT_THROW(static_cast<void>(decode_index(bytes + '\0')), CorruptError);
}

TEST(IndexCodec, WhatIsDecodedHasNoOtherEncoding) {
  const std::string bytes = encode_index(small_tree());
  std::mt19937 random(1);
  unsigned accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string damaged = bytes;
    damaged[random() % damaged.size()] = static_cast<char>(random());
    try {
      EXPECT_EQ(encode_index(decode_index(damaged)), damaged);
      ++accepted;
    } catch (const CorruptError&) {
      // Also an answer.
    }
  }
  EXPECT_GT(accepted, 0U);
}

TEST(IndexCodec, LongerFormsOfNumbersAreRefused) {
  std::string bytes = encode_index({directory("")});
  bytes.replace(8, 1, std::string("\x81\x00", 2));  // one entry, in two bytes
  EXPECT_THROW(static_cast<void>(decode_index(bytes)), CorruptError);
}

TEST(IndexCodec, AClaimOfManyEntriesAllocatesNothing) {
  std::string bytes("KPLI\x01\0\0\0", 8);
  bytes += "\xff\xff\xff\x07";
  EXPECT_THROW(static_cast<void>(decode_index(bytes)), CorruptError);
}

TEST(IndexCodec, WhatIsNoTreeIsRefusedBeforeItIsWritten) {
  const auto refused = [](std::vector<IndexEntry> entries) {
    return code_of([&] { static_cast<void>(encode_index(entries)); }) == ErrorCode::InvalidInput;
  };
  EXPECT_TRUE(refused({}));
  EXPECT_TRUE(refused({file("a", "x")}));                                   // no root
  EXPECT_TRUE(refused({directory(""), file("b", "x"), file("a", "x")}));    // order
  EXPECT_TRUE(refused({directory(""), file("a", "x"), file("a", "x")}));    // twice
  EXPECT_TRUE(refused({directory(""), file("a/b", "x")}));                  // no parent
  EXPECT_TRUE(refused({directory(""), file("a", "x"), file("a/b", "x")}));  // parent is a file
  EXPECT_TRUE(refused({directory(""), file("..", "x")}));
  EXPECT_TRUE(refused({directory(""), file("/etc", "x")}));
  EXPECT_TRUE(refused({directory(""), file(std::string("a\0b", 3), "x")}));
  EXPECT_TRUE(refused({directory(""), file(std::string(256, 'n'), "x")}));
  EXPECT_TRUE(refused({directory(""), link(EntryType::Symlink, "a", "")}));
  EXPECT_TRUE(
      refused({directory(""), link(EntryType::HardLink, "a", "b"), file("b", "x")}));  // to a later name
  EXPECT_TRUE(refused({directory(""), directory("a"), link(EntryType::HardLink, "b", "a")}));
  std::vector<IndexEntry> setuid_bits{directory("")};
  setuid_bits[0].mode = 0100755;
  EXPECT_TRUE(refused(setuid_bits));
}

TEST(IndexCodec, DirectoryNextToANameThatSortsBetweenItAndItsContentIsFine) {
  const std::vector<IndexEntry> entries{directory(""), directory("a"), file("a-b", ""), file("a.txt", ""),
                                        file("a/b", "")};
  EXPECT_EQ(decode_index(encode_index(entries)), entries);
}

}  // namespace
}  // namespace karapace::store
