// SPDX-License-Identifier: Apache-2.0
#include "karapace/base/digest.hpp"

#include <gtest/gtest.h>

#include <unordered_set>

#include "tests/support.hpp"

namespace karapace {
namespace {

constexpr std::string_view kEmpty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";

/// The input of BLAKE3's published test vectors.
std::string vector_input(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i % 251);
  return text;
}

TEST(Hasher, AgreesWithThePublishedTestVectors) {
  EXPECT_EQ(kEmpty, hash_bytes("").hex());
  EXPECT_EQ("6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85", hash_bytes("abc").hex());
  EXPECT_EQ("bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085",
            hash_bytes(vector_input(102400)).hex());
}

TEST(Hasher, PiecesOfAnySizeGiveTheDigestOfTheWhole) {
  const std::string text = vector_input(100'000);
  for (const std::size_t piece : {1U, 63U, 64U, 1000U, 1024U, 4097U}) {
    Hasher hasher;
    for (std::size_t at = 0; at < text.size(); at += piece)
      hasher.update(std::string_view(text).substr(at, piece));
    EXPECT_EQ(hash_bytes(text), hasher.finish()) << piece;
  }
}

TEST(Hasher, FinishDoesNotEndItAndResetBeginsAgain) {
  Hasher hasher;
  hasher.update("ab");
  EXPECT_EQ(hash_bytes("ab"), hasher.finish());
  hasher.update("c");
  EXPECT_EQ(hash_bytes("abc"), hasher.finish());
  hasher.reset();
  EXPECT_EQ(kEmpty, hasher.finish().hex());
}

TEST(Digest, HexComesBackAsItWas) {
  const Digest digest = hash_bytes("abc");
  EXPECT_EQ(digest, Digest::parse(digest.hex()));
  EXPECT_EQ(64U, digest.hex().size());
}

TEST(Digest, RefusesAnythingButSixtyFourLowerCaseHexDigits) {
  const std::string good(kEmpty);
  std::string upper = good;
  upper[0] = 'A';
  std::string other = good;
  other[63] = 'g';
  for (const std::string& text :
       {std::string(), good.substr(1), good + "0", upper, other, "../" + good.substr(3)}) {
    EXPECT_FALSE(Digest::is_valid(text));
    EXPECT_EQ(ErrorCode::InvalidInput, test::code_of([&] { static_cast<void>(Digest::parse(text)); }));
  }
}

TEST(Digest, OrderIsThatOfItsHexText) {
  const Digest a = hash_bytes("a");
  const Digest b = hash_bytes("b");
  EXPECT_EQ(a.hex() < b.hex(), a < b);
  EXPECT_EQ(2U, (std::unordered_set<Digest>{a, b, a}.size()));
}

TEST(HashFile, AgreesWithTheBytesAtEverySizeAroundItsBuffer) {
  const test::TempDir dir;
  for (const std::size_t size : {0U, 1U, 4095U, 4096U, 4097U, 131071U, 131072U, 131073U, 1'000'000U}) {
    const std::string text = vector_input(size);
    test::write_file(dir.fd(), "file", text);
    EXPECT_EQ(hash_bytes(text), hash_file(open_beneath(dir.fd(), "file", O_RDONLY))) << size;
  }
}

TEST(HashFile, ReadsFromTheStartAndLeavesTheOffset) {
  const test::TempDir dir;
  test::write_file(dir.fd(), "file", "abc");
  const UniqueFd file = open_beneath(dir.fd(), "file", O_RDONLY);
  ASSERT_EQ(2, ::lseek(file.get(), 2, SEEK_SET));
  EXPECT_EQ(hash_bytes("abc"), hash_file(file));
  EXPECT_EQ(2, ::lseek(file.get(), 0, SEEK_CUR));
}

TEST(HashFile, FailsOnADirectory) {
  const test::TempDir dir;
  EXPECT_EQ(EISDIR, test::errno_of([&] { static_cast<void>(hash_file(dir.fd())); }));
}

}  // namespace
}  // namespace karapace
