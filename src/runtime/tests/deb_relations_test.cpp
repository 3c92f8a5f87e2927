// SPDX-License-Identifier: Apache-2.0
#include "packages/deb_relations.hpp"

#include <gtest/gtest.h>

#include <string>

namespace karapace::runtime::apt {
namespace {

/// The names of the packages whose control files are in `text`, in the order of unpacking.
std::string ordered(std::string_view text) {
  const std::vector<Stanza> controls = parse_stanzas(text);
  std::string names;
  for (const std::size_t index : DebRelations(controls).unpack_order())
    names += std::string(controls[index].get("Package")) + " ";
  return names;
}

TEST(UnpackOrder, WhatAPackageNeedsComesFirstThroughAllStepsBetween) {
  EXPECT_EQ(ordered("Package: a\nDepends: b (>= 1),\n d:any [amd64]\n\nPackage: b\nPre-Depends: c\n\n"
                    "Package: c\n\nPackage: d\n"),
            "c b d a ");
}

TEST(UnpackOrder, PackagesThatDoNotNeedOneAnotherStayInTheOrderOfTheirNames) {
  EXPECT_EQ(ordered("Package: a\n\nPackage: b\nDepends: in-the-base\n\nPackage: c\n"), "a b c ");
}

TEST(UnpackOrder, AnAlternativeAndANameThatIsProvidedCountToo) {
  EXPECT_EQ(ordered("Package: a\nDepends: exim|postfix , mta\n\nPackage: postfix\n\nPackage: z\nProvides: "
                    "other, mta (= 2)\n"),
            "postfix z a ");
}

TEST(UnpackOrder, ACircleIsBrokenAtTheFirstNameAndWhatItNeedsStillComesFirst) {
  EXPECT_EQ(ordered("Package: a\nDepends: b\n\nPackage: b\nDepends: a, c\n\nPackage: c\n\nPackage: self\n"
                    "Depends: self\n"),
            "c b a self ");
}

TEST(UnpackOrder, EachPackageIsThereOnceHoweverOftenItIsNeeded) {
  EXPECT_EQ(ordered("Package: a\nDepends: c, c, c\n\nPackage: b\nDepends: c | a\n\nPackage: c\n"), "c a b ");
}

TEST(UnpackOrder, AChainOfAHundredThousandPackagesIsNoMatterOfTheStack) {
  constexpr std::size_t kLength = 100'000;
  std::vector<Stanza> controls(kLength);
  for (std::size_t i = 0; i < kLength; ++i) {
    controls[i].add("Package", "p" + std::to_string(i));
    controls[i].add("Depends", "p" + std::to_string(i + 1));
  }
  const std::vector<std::size_t> order = DebRelations(controls).unpack_order();
  ASSERT_EQ(order.size(), kLength);
  EXPECT_EQ(order.front(), kLength - 1);
  EXPECT_EQ(order.back(), 0U);
}

TEST(UnpackOrder, ANameThatIsRepeatedTakesNoMoreMemory) {
  constexpr std::size_t kPackages = 500;
  std::string names = "x";
  for (std::size_t i = 0; i < 2'000; ++i) names += ", x";
  std::vector<Stanza> controls(kPackages);
  for (std::size_t i = 0; i < kPackages; ++i) {
    controls[i].add("Package", "p" + std::to_string(i));
    controls[i].add("Provides", names);
    controls[i].add("Depends", names);
  }
  // 500 packages, each 2,000 times at each of 2,000 names, would be 10^12 steps.
  EXPECT_EQ(DebRelations(controls).unpack_order().size(), kPackages);
}

TEST(UnpackOrder, FieldsThatAreNoRelationsNameNothing) {
  EXPECT_EQ(ordered("Package: a\nDepends: (,|, [\n\nPackage: b\nDepends: ,,, \t|\n"), "a b ");
}

/// The names of what has to be configured before `left` can be unpacked.
std::string needed(std::string_view text, const std::vector<std::size_t>& left) {
  const std::vector<Stanza> controls = parse_stanzas(text);
  std::string names;
  for (const std::size_t index : DebRelations(controls).needed_to_unpack(left))
    names += std::string(controls[index].get("Package")) + " ";
  return names;
}

TEST(NeededToUnpack, IsWhatAPackagePreDependsOnAndAllThatThisDependsOn) {
  constexpr std::string_view kClosure =
      "Package: a\nPre-Depends: b | virtual\nDepends: other\n\nPackage: b\nDepends: c\n\nPackage: c\n"
      "Pre-Depends: d\n\nPackage: d\n\nPackage: other\n\nPackage: provider\nProvides: virtual\n";
  EXPECT_EQ(needed(kClosure, {0}), "d c b provider ");
  EXPECT_EQ(needed(kClosure, {1, 3, 4}), "") << "what only depends needs nobody to be unpacked";
  EXPECT_EQ(needed(kClosure, {0, 2}), "d c b provider ");
}

TEST(NeededToUnpack, EndsWithACircleToo) {
  EXPECT_EQ(needed("Package: a\nPre-Depends: b\n\nPackage: b\nDepends: a\n", {0}), "a b ");
}

}  // namespace
}  // namespace karapace::runtime::apt
