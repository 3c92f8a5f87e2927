// SPDX-License-Identifier: Apache-2.0
#include "packages/pacman_output.hpp"

#include <gtest/gtest.h>

namespace karapace::runtime::pacman {
namespace {

TEST(PacmanConfiguration, IsWrittenAsItWasRead) {
  const std::string text =
      "[options]\nRootDir = /\nColor\nSigLevel = PackageRequired\n[core]\nServer = http://m/core?a=b\n";
  const auto sections = parse_configuration("# comment\n" + text);
  ASSERT_EQ(sections.size(), 2U);
  EXPECT_EQ(sections[1].all("Server"), std::vector<std::string>{"http://m/core?a=b"});
  EXPECT_EQ(configuration_text(sections), text);
}

TEST(PacmanSignatures, OnlyNeverIsNever) {
  const Section strict{"options", {{"SigLevel", "PackageRequired"}, {"SigLevel", "DatabaseOptional"}}};
  const Section lax{"options", {{"SigLevel", "PackageNever"}}};
  EXPECT_FALSE(wants_no_signatures(strict, {"core", {}}));
  EXPECT_TRUE(wants_no_signatures(lax, {"core", {}}));
  EXPECT_FALSE(wants_no_signatures(lax, {"core", {{"SigLevel", "PackageOptional"}}}));
  EXPECT_TRUE(wants_no_signatures(strict, {"core", {{"SigLevel", "PackageNever"}}}));
}

TEST(PacmanPrint, LinesThatAreNoPackageAreSkipped) {
  const auto packages = parse_printed(
      ":: There are 2 providers\nhello\t1:2-1\tcore\thttp://m/hello-1:2-1-any.pkg.tar.zst\na\tb\tc\td\te\n");
  ASSERT_EQ(packages.size(), 1U);
  EXPECT_EQ(packages[0].version, "1:2-1");
  EXPECT_EQ(packages[0].url, "http://m/hello-1:2-1-any.pkg.tar.zst");
}

TEST(PacmanDescription, APackageDescribesItself) {
  LockedPackage package;
  package.name = "hello";
  package.version = "1-1";
  package.arch = "any";
  package.sha256 = std::string(64, '7');
  package.size = 12;
  const auto found = parse_description(
      description_of("# by makepkg\npkgname = hello\ndepend = foo>=1\ndepend = sh\nconflict = never\n",
                     package, "hello.pkg.tar"));
  EXPECT_EQ(found.at("DEPENDS"), (std::vector<std::string>{"foo>=1", "sh"}));
  EXPECT_EQ(found.at("CONFLICTS"), std::vector<std::string>{"never"});
  EXPECT_EQ(found.at("SHA256SUM"), std::vector<std::string>{package.sha256});
  EXPECT_EQ(found.at("FILENAME"), std::vector<std::string>{"hello.pkg.tar"});
  EXPECT_FALSE(found.contains("PROVIDES"));
}

TEST(PacmanTargets, AllUnknownOnesAreNamed) {
  EXPECT_EQ(unknown_targets("warning: x\nerror: target not found: helo\nerror: target not found: a\n"),
            (std::vector<std::string>{"a", "helo"}));
}

TEST(TargetsOfChoice, AreGroupsAndNamesThatSeveralPackagesProvide) {
  EXPECT_EQ(targets_of_choice(":: Synchronizing package databases...\n:: There are 2 members in group pair:\n"
                              ":: Repository fixture\n   1) extra  2) never\n"
                              ":: There are 2 providers available for two-apis:\n"
                              ":: There is 1 member in group alone:\n"),
            (std::vector<std::string>{"alone", "pair", "two-apis"}));
  EXPECT_TRUE(targets_of_choice("resolving dependencies...\n").empty());
}

TEST(PacmanQuery, TellsNameVersionAndArchitectureOfEachPackage) {
  const auto packages = parse_query(
      "Name            : libfoo\nVersion         : 1:1.0-1\nDescription     : Name : of a thing\n"
      "Architecture    : any\nDepends On      : a  b\n                  c : d\n\n"
      "Name            : hello\nVersion         : 2-1\nArchitecture    : x86_64\n\n");
  EXPECT_EQ(packages,
            (std::vector<InstalledPackage>{{"libfoo", "1:1.0-1", "any"}, {"hello", "2-1", "x86_64"}}));
}

}  // namespace
}  // namespace karapace::runtime::pacman
