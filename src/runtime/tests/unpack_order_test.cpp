// SPDX-License-Identifier: Apache-2.0
#include "packages/unpack_order.hpp"

#include <gtest/gtest.h>

#include <string>

namespace karapace::runtime::apt {
namespace {

/// The names of the packages whose control files are in `text`, in the order of unpacking.
std::string ordered(std::string_view text) {
  const std::vector<Stanza> controls = parse_stanzas(text);
  std::string names;
  for (const std::size_t index : unpack_order(controls))
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
  const std::vector<std::size_t> order = unpack_order(controls);
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
  EXPECT_EQ(unpack_order(controls).size(), kPackages);
}

TEST(UnpackOrder, FieldsThatAreNoRelationsNameNothing) {
  EXPECT_EQ(ordered("Package: a\nDepends: (,|, [\n\nPackage: b\nDepends: ,,, \t|\n"), "a b ");
}

}  // namespace
}  // namespace karapace::runtime::apt
