// SPDX-License-Identifier: Apache-2.0
// Which version is older: examples from the manuals, and the package managers' own tools as witnesses.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "karapace/base/subprocess.hpp"
#include "karapace/schema/version_order.hpp"

namespace karapace {
namespace {

using enum VersionOrder;

char sign(std::weak_ordering order) {
  if (std::is_lt(order)) return '<';
  return std::is_gt(order) ? '>' : '=';
}

/// As the tools of rpm and pacman say it.
int number(std::weak_ordering order) {
  if (std::is_lt(order)) return -1;
  return std::is_gt(order) ? 1 : 0;
}

void expect_ascending(const std::vector<std::string>& versions, VersionOrder order) {
  for (std::size_t left = 0; left < versions.size(); ++left) {
    for (std::size_t right = 0; right < versions.size(); ++right) {
      EXPECT_EQ(sign(left <=> right), sign(compare_versions(versions[left], versions[right], order)))
          << versions[left] << " and " << versions[right];
    }
  }
}

TEST(VersionOrder, FollowsTheManuals) {
  expect_ascending({"1.0~~", "1.0~~a", "1.0~", "1.0", "1.0-1", "1.0-1+b1", "1.0-2", "1.0a", "1.0+dfsg-1",
                    "1.9", "1.10", "99999999999999999999999", "1:0.1"},
                   Deb);
  expect_ascending({"1.0~rc1-1", "1.0-1", "1.0-2", "1.0^git1-1", "1.0a-1", "1.0.1-1", "1.10-1", "2:0.1-1"},
                   Rpm);
  expect_ascending({"1.0a-1", "1.0b-1", "1.0beta-1", "1.0p-1", "1.0pre-1", "1.0rc-1", "1.0-1", "1.0-2",
                    "1.0.a-1", "1.0.1-1", "1:0.1-1"},
                   Alpm);
}

TEST(VersionOrder, TakesEqualVersionsForEqual) {
  EXPECT_EQ('=', sign(compare_versions("1.0", "0:1.0-0", Deb)));
  EXPECT_EQ('=', sign(compare_versions("1.00-1", "0:1.0-1", Rpm)));
  EXPECT_EQ('=', sign(compare_versions("1.0", "1.0-3", Rpm)));
  EXPECT_EQ('=', sign(compare_versions("1.0", "1.0-3", Alpm)));
}

/// Short texts of the characters that matter; `seed` gives the same ones each time.
std::vector<std::pair<std::string, std::string>> random_pairs(const std::string& alphabet) {
  std::mt19937 random(7);
  const auto version = [&](std::size_t longest) {
    std::string text = std::to_string(random() % 3);
    for (std::size_t left = random() % longest; left > 0; --left)
      text += alphabet[random() % alphabet.size()];
    return text;
  };
  const auto whole = [&] {
    return (random() % 5 == 0 ? std::to_string(random() % 3) + ":" : "") + version(6) + "-" + version(3);
  };
  std::vector<std::pair<std::string, std::string>> pairs;
  for (int left = 0; left < 400; ++left) {
    const std::string first = whole();
    // Half of them differ in one place.
    std::string second = random() % 2 == 0 ? whole() : first;
    if (second == first) second.insert(second.size() - random() % 3, 1, alphabet[random() % alphabet.size()]);
    pairs.emplace_back(first, second);
  }
  return pairs;
}

RunResult run_tool(const std::string& name, const std::vector<std::string>& arguments) {
  Command command;
  command.program = name;
  command.arguments = arguments;
  return run(command);
}

TEST(VersionOrder, IsThatOfDpkg) {
  for (const auto& [left, right] : random_pairs("01a.+~b")) {
    const char answer = sign(compare_versions(left, right, Deb));
    const char* relation = std::map<char, const char*>{{'<', "lt"}, {'>', "gt"}, {'=', "eq"}}.at(answer);
    EXPECT_EQ(0, run_tool("dpkg", {"--compare-versions", left, relation, right}).status)
        << left << ' ' << answer << ' ' << right;
  }
}

TEST(VersionOrder, IsThatOfRpm) {
  const auto pairs = random_pairs("01a.+~^b");
  std::string script;
  for (const auto& [left, right] : pairs)
    script += fmt::format("print(rpm.vercmp('{}','{}')..' ') ", left, right);
  const RunResult result = run_tool("rpm", {"--eval", "%{lua:" + script + "}"});
  EXPECT_EQ(0, result.status) << result.err;
  std::istringstream answers(result.out);
  for (const auto& [left, right] : pairs) {
    int answer = 7;
    answers >> answer;
    EXPECT_EQ(answer, number(compare_versions(left, right, Rpm))) << left << ' ' << right;
  }
}

TEST(VersionOrder, IsThatOfPacman) {
  for (const auto& [left, right] : random_pairs("01a.+_b")) {
    EXPECT_EQ(fmt::format("{}\n", number(compare_versions(left, right, Alpm))),
              run_tool("vercmp", {left, right}).out)
        << left << ' ' << right;
  }
}

LockedPackage package(const std::string& name, const std::string& version,
                      const std::string& suffix = ".deb") {
  LockedPackage result;
  result.name = name;
  result.version = version;
  result.arch = "amd64";
  result.path = "pool/" + name + suffix;
  return result;
}

TEST(VersionOrder, OnlyPackagesThatBothHaveCanBeOlder) {
  const auto older = find_older({package("a", "2"), package("b", "1"), package("gone", "1")},
                                {package("a", "1"), package("b", "2"), package("new", "0")});
  ASSERT_EQ(1U, older.size());
  EXPECT_EQ("a", older[0].name);
  EXPECT_EQ("2", older[0].before);
  EXPECT_EQ("1", older[0].now);
}

TEST(VersionOrder, OfSeveralVersionsOfAPackageTheNewestCounts) {
  const std::string rpm = ".rpm";
  EXPECT_TRUE(find_older({package("kernel", "5-1", rpm), package("kernel", "6-1", rpm)},
                         {package("kernel", "6-1", rpm), package("kernel", "4-1", rpm)})
                  .empty());
  EXPECT_EQ(1U, find_older({package("kernel", "5-1", rpm), package("kernel", "6-1", rpm)},
                           {package("kernel", "5-1", rpm)})
                    .size());
}

TEST(VersionOrder, PackagesWithoutAFormatHaveNone) {
  EXPECT_TRUE(find_older({package("mock", "2", "")}, {package("mock", "1", "")}).empty());
}

}  // namespace
}  // namespace karapace
