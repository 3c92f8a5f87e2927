// SPDX-License-Identifier: Apache-2.0
#include "karapace/base/rel_path.hpp"

#include <gtest/gtest.h>

#include "tests/support.hpp"

namespace karapace {
namespace {

using namespace std::string_view_literals;

TEST(RelPath, RefusesEverythingThatCouldLeaveItsDirectory) {
  for (const auto text : {""sv, "/"sv, "/etc"sv, ".."sv, "../x"sv, "a/../b"sv, "a/.."sv, "."sv, "./a"sv,
                          "a/./b"sv, "a/."sv, "a//b"sv, "a/"sv, "a\0b"sv, "\0"sv})
    EXPECT_EQ(ErrorCode::InvalidInput, test::code_of([&] { static_cast<void>(RelPath::parse(text)); }))
        << text;
}

TEST(RelPath, KeepsBytesAsTheyAre) {
  for (const auto text :
       {"a"sv, "a/b/c"sv, "..a/b.."sv, "..."sv, "sp ace/new\nline"sv, "\xff\xfe/x"sv, "-oFoo"sv})
    EXPECT_EQ(text, RelPath::parse(text).str());
}

TEST(RelPath, LengthAndDepthAreBounded) {
  const std::string component(255, 'x');
  EXPECT_NO_THROW(static_cast<void>(RelPath::parse(component)));
  EXPECT_THROW(static_cast<void>(RelPath::parse(component + "x")), Error);
  std::string deep = "a";
  for (std::size_t i = 1; i < RelPath::kMaxDepth; ++i) deep += "/a";
  const RelPath deepest = RelPath::parse(deep);
  EXPECT_THROW(static_cast<void>(deepest / "a"), Error);
  std::string longest;
  for (int i = 0; i < 15; ++i) longest += component + "/";
  longest += component;
  EXPECT_EQ(RelPath::kMaxLength, longest.size());
  EXPECT_NO_THROW(static_cast<void>(RelPath::parse(longest)));
  longest.insert(0, "a/");
  EXPECT_THROW(static_cast<void>(RelPath::parse(longest)), Error);
}

TEST(RelPath, NameAndParentSplitAtTheLastSlash) {
  const RelPath path = RelPath::parse("usr/share/doc");
  EXPECT_EQ("doc", path.name());
  EXPECT_EQ("usr/share", path.parent());
  EXPECT_EQ("usr", RelPath::parse("usr").name());
  EXPECT_EQ("", RelPath::parse("usr").parent());
}

TEST(RelPath, AppendingTakesOneComponentOnly) {
  EXPECT_EQ("a/b", (RelPath::parse("a") / "b").str());
  for (const auto text : {""sv, ".."sv, "."sv, "b/c"sv, "/b"sv, "b\0"sv})
    EXPECT_THROW(static_cast<void>(RelPath::parse("a") / text), Error);
}

TEST(RelPath, MessageQuotesThePathWithoutControlCharacters) {
  try {
    static_cast<void>(RelPath::parse("a\x1b/../b"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string::npos, error.message().find("a\\x1b/../b"));
  }
}

}  // namespace
}  // namespace karapace
