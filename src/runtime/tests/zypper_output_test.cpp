// SPDX-License-Identifier: Apache-2.0
#include "packages/zypper_output.hpp"

#include <gtest/gtest.h>

namespace karapace::runtime::zypper {
namespace {

TEST(ZypperRepositories, OnlyEnabledOnesInTheOrderOfTheirPriority) {
  const auto repositories = parse_repositories(
      "<?xml version='1.0'?>\n<stream>\n<repo-list>\n"
      "<repo alias=\"oss\" name=\"a > b\" priority=\"99\" enabled=\"1\" gpgcheck=\"1\" pkg_gpgcheck=\"1\" "
      "gpgkey=\"file:/etc/pki/a.asc https://h/b.asc\">\n<url>http://h/oss/?a=1&amp;b=2</url>\n</repo>\n"
      "<repo alias=\"off\" enabled=\"0\" priority=\"1\">\n<url>http://h/off</url>\n</repo>\n"
      "<repo alias=\"first\" enabled=\"1\" priority=\"10\" pkg_gpgcheck=\"0\">\n<url>http://h/first</url>\n"
      "<url>http://other/first</url>\n</repo>\n</repo-list>\n</stream>\n");
  ASSERT_EQ(repositories.size(), 2U);
  EXPECT_EQ(repositories[0].alias, "first");
  EXPECT_EQ(repositories[0].url, "http://h/first");
  EXPECT_FALSE(repositories[0].signed_packages);
  EXPECT_EQ(repositories[1].alias, "oss");
  EXPECT_EQ(repositories[1].url, "http://h/oss/?a=1&b=2");
  EXPECT_TRUE(repositories[1].signed_packages);
  EXPECT_EQ(repositories[1].keys, (std::vector<std::string>{"file:///etc/pki/a.asc", "https://h/b.asc"}));
}

TEST(ZypperPlan, HasWhatIsThereInTheEndAndWhatGoes) {
  const Plan plan = parse_plan(
      "<install-summary>\n<to-upgrade>\n"
      "<solvable type=\"package\" name=\"libstdc++\" edition=\"1:2-1\" arch=\"x86_64\" "
      "edition-old=\"1:1-1\">\n"
      "<description>a</description></solvable>\n</to-upgrade>\n<to-install>\n"
      "<solvable type=\"pattern\" name=\"devel\" edition=\"1-1\" arch=\"noarch\"/>\n"
      "<solvable type=\"package\" name=\"b\" edition=\"1-1\" arch=\"noarch\"/>\n"
      "<solvable type=\"package\" name=\"b\" edition=\"1-1\" arch=\"noarch\"/>\n</to-install>\n<to-remove>\n"
      "<solvable type=\"package\" name=\"c\" edition=\"1-1\" arch=\"noarch\"/>\n</to-remove>\n"
      "<solvable type=\"package\" name=\"suggested\" edition=\"1-1\" "
      "arch=\"noarch\"/>\n</install-summary>\n");
  ASSERT_EQ(plan.packages.size(), 2U);
  EXPECT_EQ(plan.packages[0].name, "libstdc++");
  EXPECT_EQ(plan.packages[0].version, "1:2-1");
  EXPECT_EQ(plan.packages[0].arch, "x86_64");
  EXPECT_EQ(plan.packages[1].name, "b");
  EXPECT_EQ(plan.removed, std::vector<std::string>{"c"});
}

TEST(ZypperProblems, AreToldWithoutTheQuestion) {
  EXPECT_EQ(parse_problems("<message type=\"info\">Loading...</message>\n"
                           "<message type=\"error\">Package &apos;helo&apos; not found.</message>\n"
                           "<prompt id=\"1\">\n<description>Problem: a conflicts with b\n Solution 1: do not "
                           "install a\n</description>\n<text>Choose</text></prompt>\n"
                           "<description>of a package</description>"),
            "Package 'helo' not found.\nProblem: a conflicts with b\n");
}

TEST(ZypperNames, AreSortedAndSingle) {
  EXPECT_EQ(parse_names("<solvable status=\"a\" name=\"b\"/><solvable name=\"a\"/><solvable name=\"b\"/>"),
            (std::vector<std::string>{"a", "b"}));
}

TEST(RpmDescriptions, AnEpochOfZeroIsNoneAndEntitiesAreRead) {
  const auto packages = parse_descriptions(
      "<package type=\"rpm\">\n <name>g&#43;&#x2b;</name>\n <arch>x86_64</arch>\n"
      " <version epoch=\"0\" ver=\"1.0\" rel=\"2\"/>\n <checksum type='sha256' pkgid='YES'> ab </checksum>\n"
      " <size package=\"6158\" installed=\"4\"/>\n <location href=\"x86_64/g++.rpm\"/>\n</package>"
      "<package type=\"rpm\"><name>b</name><version epoch=\"3\" ver=\"1\" rel=\"1\"/>"
      "<location xml:base=\"http://h/\" href=\"b.rpm\"/></package>");
  ASSERT_EQ(packages.size(), 2U);
  EXPECT_EQ(packages[0].name, "g++");
  EXPECT_EQ(packages[0].version, "1.0-2");
  EXPECT_EQ(packages[0].checksum_kind, "sha256");
  EXPECT_EQ(packages[0].checksum, "ab");
  EXPECT_EQ(packages[0].size, 6158U);
  EXPECT_EQ(packages[0].path, "x86_64/g++.rpm");
  EXPECT_FALSE(packages[0].elsewhere);
  EXPECT_EQ(packages[1].version, "3:1-1");
  EXPECT_TRUE(packages[1].elsewhere);
}

TEST(RpmDescriptions, TextThatIsNoXmlIsNothing) {
  for (const char* text : {"", "<", "<package", "<package a=", "<package a=\"", "&;", "<name>&", "<a b='>"})
    EXPECT_TRUE(parse_descriptions(text).empty()) << text;
}

TEST(ZypperConfiguration, OnlyWhatHasAMirrorIsChanged) {
  const Mirrors mirrors = Mirrors::parse("oss=http://m/oss");
  EXPECT_EQ(
      with_mirrors("[oss]\nname=a\nbaseurl=http://h/1\n  http://h/2\nmirrorlist = http://l\ngpgcheck=1\n"
                   "[other]\nbaseurl=http://o\n  http://o/2\n",
                   mirrors),
      "[oss]\nbaseurl=http://m/oss\nname=a\ngpgcheck=1\n[other]\nbaseurl=http://o\n  http://o/2\n");
}

TEST(UnknownNames, ArePatternsFilesAndWhatIsOnlyNearAName) {
  const std::vector<std::string> known = {"gcc-c++", "hello", "libstdc++6"};
  EXPECT_TRUE(unknown_names({"gcc-c++", "hello=1.0-1", "hello.x86_64", "fixture:hello", "libstdc++6"}, known)
                  .empty());
  const std::vector<std::string> unknown = {"hello-", "hell.", "pattern:hello", "product:hello",
                                            "http://host/hello.rpm"};
  EXPECT_EQ(unknown_names(unknown, known), unknown);
}

}  // namespace
}  // namespace karapace::runtime::zypper
