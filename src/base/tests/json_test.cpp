// SPDX-License-Identifier: Apache-2.0
#include "karapace/base/json.hpp"

#include <gtest/gtest.h>

#include "tests/support.hpp"

namespace karapace {
namespace {

using namespace std::string_view_literals;

std::string refusal(std::string_view text, const JsonLimits& limits = {}) {
  try {
    static_cast<void>(parse_json(text, "the file x", limits));
  } catch (const Error& error) {
    EXPECT_EQ(ErrorCode::InvalidInput, error.code());
    EXPECT_TRUE(error.message().starts_with("the file x is not valid JSON: ")) << error.what();
    return error.message();
  }
  ADD_FAILURE() << "accepted: " << text;
  return {};
}

std::string nested(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST(ParseJson, ReadsWhatTheLibraryReads) {
  const std::string text =
      R"({"a":[1,-2,18446744073709551615,true,false,null,"x\u00e4\ud83d\ude00"],"b":{"c":{}},"d":[[],[{}]],"e":0.5})";
  EXPECT_EQ(Json::parse(text), parse_json(text, "x"));
  for (const auto scalar : {"1"sv, "\"x\""sv, "null"sv, " [ ] "sv})
    EXPECT_EQ(Json::parse(scalar), parse_json(scalar, "x"));
}

TEST(ParseJson, RefusesAKeyThatIsThereTwice) {
  EXPECT_NE(std::string::npos, refusal(R"({"a":1,"b":{"a":1},"a":2})").find("the key \"a\" is there twice"));
  refusal(R"([{"x":{"k":1,"k":1}}])");
  EXPECT_NO_THROW(static_cast<void>(parse_json(R"([{"a":1},{"a":2}])", "x")));
}

TEST(ParseJson, RefusesNestingBeyondTheLimitHoweverDeep) {
  EXPECT_NO_THROW(static_cast<void>(parse_json(nested(64), "x")));
  EXPECT_NE(std::string::npos, refusal(nested(65)).find("nested deeper than 64 levels"));
  refusal(std::string(5'000'000, '['));
  std::string objects;
  for (int i = 0; i < 10'000; ++i) objects += R"({"a":)";
  refusal(objects);
}

TEST(ParseJson, RefusesMoreBytesThanTheLimit) {
  EXPECT_NO_THROW(static_cast<void>(parse_json("[1,2]", "x", JsonLimits{.max_bytes = 5})));
  refusal("[1,23]", JsonLimits{.max_bytes = 5});
}

TEST(ParseJson, RefusesWhatIsNotStrictJson) {
  for (const auto text :
       {""sv,         " "sv,   "{} x"sv,  "{}{}"sv, "[1,]"sv, "{\"a\":1,}"sv,  "// c\n{}"sv,
        "/* */ 1"sv,  "'a'"sv, "{a:1}"sv, "01"sv,   "+1"sv,   "NaN"sv,         "1e999"sv,
        "\"\x01\""sv, "\"a"sv, "[1"sv,    "tru"sv,  "{}\0"sv, "{}\0garbage"sv, "\xEF\xBB\xBF{}"sv})
    refusal(text);
}

TEST(ParseJson, RefusesInvalidUtf8AndLoneSurrogates) {
  for (const auto text :
       {"\"\xff\""sv, "\"\xC0\xAF\""sv, "\"\xED\xA0\x80\""sv, R"("\ud800")"sv, R"("\udc00\ud800")"sv})
    refusal(text);
}

TEST(ParseJson, MessageTellsThePlaceAndCannotDriveTheTerminal) {
  const std::string message = refusal("{\n  \"a\": \x1b[2J");
  EXPECT_NE(std::string::npos, message.find("line 2, column"));
  EXPECT_EQ(std::string::npos, message.find('\x1b'));
}

TEST(CanonicalJson, SortsKeysByUtf16AsRfc8785Does) {
  // The example of RFC 8785, 3.2.3.
  const Json value = {{"\xE2\x82\xAC", "Euro Sign"},
                      {"\r", "Carriage Return"},
                      {"\xEF\xAC\xB3", "Hebrew Letter"},
                      {"1", "One"},
                      {"\xF0\x9F\x98\x80", "Emoji"},
                      {"\xC2\x80", "Control"},
                      {"\xC3\xB6", "Latin"}};
  EXPECT_EQ(
      "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\xC2\x80\":\"Control\",\"\xC3\xB6\":\"Latin\","
      "\"\xE2\x82\xAC\":\"Euro Sign\",\"\xF0\x9F\x98\x80\":\"Emoji\",\"\xEF\xAC\xB3\":\"Hebrew Letter\"}",
      canonical_json(value));
}

TEST(CanonicalJson, SortsPrefixesAndNestedObjects) {
  EXPECT_EQ(R"({"":0,"a":{"x":[],"y":{}},"aa":1,"b":2})",
            canonical_json(parse_json(R"({"b":2,"aa":1,"a":{"y":{},"x":[]},"":0})", "x")));
}

TEST(CanonicalJson, EscapesOnlyWhatItMustAndInTheShortestWay) {
  const std::string text = "\"\\/\b\f\n\r\t\x01\x1f\x7f\xC3\xA4";
  EXPECT_EQ("\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\xC3\xA4\"", canonical_json(text));
}

TEST(CanonicalJson, IntegersUpToTheLimitAreWrittenPlainly) {
  EXPECT_EQ("[9007199254740991,-9007199254740991,0,true,null]",
            canonical_json(Json{9007199254740991, -9007199254740991, 0, true, nullptr}));
}

TEST(CanonicalJson, IsAFixedPoint) {
  const std::string text = R"({"a":[1,{"b":"x\ny"},[]],"c":null})";
  EXPECT_EQ(text, canonical_json(parse_json(text, "x")));
}

TEST(CanonicalJson, RefusesInvalidUtf8) {
  EXPECT_EQ(ErrorCode::InvalidInput, test::code_of([] { static_cast<void>(canonical_json(Json("\xff"))); }));
}

TEST(CanonicalJsonDeathTest, FloatsAndLargeIntegersAreBugs) {
  EXPECT_DEATH(static_cast<void>(canonical_json(Json(0.5))), "karapace: bug");
  EXPECT_DEATH(static_cast<void>(canonical_json(Json(9007199254740992))), "karapace: bug");
}

TEST(PrettyJson, KeepsTheOrderOfKeysAndIndentsByTwo) {
  OrderedJson value;
  value["z"] = 1;
  value["a"] = OrderedJson::array({1, 2});
  EXPECT_EQ("{\n  \"z\": 1,\n  \"a\": [\n    1,\n    2\n  ]\n}", pretty_json(value));
}

TEST(PrettyJson, InvalidUtf8IsAnErrorOfOurs) {
  EXPECT_EQ(ErrorCode::InvalidInput,
            test::code_of([] { static_cast<void>(pretty_json(OrderedJson("\xff"))); }));
}

}  // namespace
}  // namespace karapace
