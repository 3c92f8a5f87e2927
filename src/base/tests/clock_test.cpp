// SPDX-License-Identifier: Apache-2.0
#include "karapace/base/clock.hpp"

#include <gtest/gtest.h>

#include "tests/support.hpp"

namespace karapace {
namespace {

using namespace std::string_view_literals;
using std::chrono::nanoseconds;
using std::chrono::seconds;

TEST(Rfc3339, WritesUtcWithTheShortestExactFraction) {
  const Timestamp whole{seconds(1735689600)};
  EXPECT_EQ("2025-01-01T00:00:00+00:00", format_rfc3339(whole));
  EXPECT_EQ("2025-01-01T00:00:00.120+00:00", format_rfc3339(whole + nanoseconds(120'000'000)));
  EXPECT_EQ("2025-01-01T00:00:00.000120+00:00", format_rfc3339(whole + nanoseconds(120'000)));
  EXPECT_EQ("2025-01-01T00:00:00.000000120+00:00", format_rfc3339(whole + nanoseconds(120)));
  EXPECT_EQ("1969-12-31T23:59:59.999999999+00:00", format_rfc3339(Timestamp{nanoseconds(-1)}));
}

TEST(Rfc3339, ReadsBackExactlyWhatItWrote) {
  for (const std::int64_t value :
       {0LL, -1LL, 1'735'689'600'123'456'789LL, 9'000'000'000'000'000'001LL, -9'000'000'000'000'000'000LL}) {
    const Timestamp time{nanoseconds(value)};
    EXPECT_EQ(time, parse_rfc3339(format_rfc3339(time)));
  }
  const Timestamp current = now();
  EXPECT_EQ(current, parse_rfc3339(format_rfc3339(current)));
}

TEST(Rfc3339, ReadsOtherOffsetsAndFractions) {
  const Timestamp expected = parse_rfc3339("2026-11-22T18:00:38+00:00");
  EXPECT_EQ(expected, parse_rfc3339("2026-11-22T18:00:38Z"));
  EXPECT_EQ(expected, parse_rfc3339("2026-11-22t18:00:38.000z"));
  EXPECT_EQ(expected, parse_rfc3339("2026-11-22T20:30:38+02:30"));
  EXPECT_EQ(expected, parse_rfc3339("2026-11-21T19:00:38-23:00"));
  EXPECT_EQ(expected + nanoseconds(500'000'000), parse_rfc3339("2026-11-22T18:00:38.5Z"));
  EXPECT_EQ(Timestamp{seconds(1709164800)}, parse_rfc3339("2024-02-29T00:00:00Z"));
}

TEST(Rfc3339, RefusesTimesThatDoNotExistAndTextAround) {
  for (const auto text :
       {""sv, "2026-11-22"sv, "2026-11-22T18:00:38"sv, "2026-13-01T00:00:00Z"sv, "2025-02-29T00:00:00Z"sv,
        "2026-11-22T24:00:00Z"sv, "2026-11-22T18:60:00Z"sv, "2026-11-22T18:00:60Z"sv,
        "2026-11-22T18:00:38.Z"sv, "2026-11-22T18:00:38.1234567890Z"sv, "2026-11-22T18:00:38+24:00"sv,
        "2026-11-22T18:00:38+0200"sv, " 2026-11-22T18:00:38Z"sv, "2026-11-22T18:00:38Z\n"sv,
        "2026-11-22 18:00:38Z"sv, "1600-01-01T00:00:00Z"sv, "9999-01-01T00:00:00Z"sv,
        "-026-11-22T18:00:38Z"sv, "2026-11-22T18:00:38Z\0"sv})
    EXPECT_EQ(ErrorCode::InvalidInput, test::code_of([&] { static_cast<void>(parse_rfc3339(text)); }))
        << text;
}

TEST(RandomHex, HasTwoDigitsPerByteAndDiffersEachTime) {
  EXPECT_EQ("", random_hex(0));
  EXPECT_EQ(32U, random_hex(16).size());
  EXPECT_EQ(400U, random_hex(200).size());
  EXPECT_EQ(std::string::npos, random_hex(200).find_first_not_of("0123456789abcdef"));
  EXPECT_NE(random_hex(16), random_hex(16));
}

}  // namespace
}  // namespace karapace
