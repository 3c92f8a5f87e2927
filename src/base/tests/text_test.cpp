// SPDX-License-Identifier: Apache-2.0
#include "karapace/base/text.hpp"

#include <gtest/gtest.h>

namespace karapace {
namespace {

using namespace std::string_view_literals;

TEST(Utf8, AcceptsEveryLengthUpToTheLastCodePoint) {
  for (const auto text : {""sv, "plain"sv, "\xC2\x80"sv, "\xE2\x82\xAC"sv, "\xED\x9F\xBF"sv, "\xEE\x80\x80"sv,
                          "\xF0\x90\x80\x80"sv, "\xF4\x8F\xBF\xBF"sv, "\0"sv})
    EXPECT_TRUE(is_utf8(text)) << printable(text);
}

TEST(Utf8, RefusesSurrogatesOverlongFormsAndCutSequences) {
  for (const auto text :
       {"\x80"sv, "\xC0\xAF"sv, "\xC1\xBF"sv, "\xE0\x80\xAF"sv, "\xED\xA0\x80"sv, "\xF0\x80\x80\xAF"sv,
        "\xF4\x90\x80\x80"sv, "\xF8\x88\x80\x80\x80"sv, "\xFF"sv, "\xE2\x82"sv, "a\xF0\x90\x80"sv})
    EXPECT_FALSE(is_utf8(text)) << printable(text);
}

TEST(Printable, KeepsOrdinaryTextAsItIs) {
  EXPECT_EQ("na\xC3\xAFve \xE6\xBC\xA2 \xF0\x9F\x90\xA2",
            printable("na\xC3\xAFve \xE6\xBC\xA2 \xF0\x9F\x90\xA2"));
}

TEST(Printable, EscapesControlCharactersAndInvalidBytes) {
  EXPECT_EQ("a\\x0ab\\x1b[31m\\x7f\\x00", printable("a\nb\x1b[31m\x7f\0"sv));
  EXPECT_EQ("\\xff\\xc2", printable("\xff\xc2"));
  EXPECT_EQ("\\xc2\\x9b", printable("\xC2\x9B"));  // a control sequence introducer in one character
}

TEST(Printable, EscapesWhatTurnsTheDirectionOfText) {
  EXPECT_EQ("a\\xe2\\x80\\xaeb", printable("a\xE2\x80\xAE"
                                           "b"));
  EXPECT_EQ("\\xe2\\x81\\xa6", printable("\xE2\x81\xA6"));
}

TEST(Printable, NeverExceedsItsLimitAndMarksTheCut) {
  for (std::size_t limit = 0; limit < 12; ++limit)
    EXPECT_LE(printable("abc\ndef\xE2\x82\xAC xyz", limit).size(), limit);
  EXPECT_EQ("abcdefg...", printable("abcdefghijklm", 10));
  EXPECT_EQ("abcdefghij", printable("abcdefghij", 10));
  EXPECT_TRUE(is_utf8(printable("\xE2\x82\xAC\xE2\x82\xAC\xE2\x82\xAC\xE2\x82\xAC", 10)));
}

TEST(Counted, OneIsNoPlural) {
  EXPECT_EQ("0 files", counted(0, "file"));
  EXPECT_EQ("1 file", counted(1, "file"));
  EXPECT_EQ("2 files", counted(2, "file"));
}

}  // namespace
}  // namespace karapace
