// SPDX-License-Identifier: Apache-2.0
#include "packages/package_files.hpp"

#include <gtest/gtest.h>

#include "karapace/base/error.hpp"
#include "packages/package_manager.hpp"

namespace karapace::runtime {
namespace {

const std::string kHash(64, '7');

LockedPackage package(const std::string& name, const std::string& arch, bool requested) {
  LockedPackage result;
  result.name = name;
  result.version = "1:2+3~4";
  result.arch = arch;
  result.sha256 = kHash;
  result.repository = "debian";
  result.path = "pool/" + name + "_1%3a2+3~4.deb";
  result.requested = requested;
  return result;
}

TEST(Urls, PathsOfPackagesSurviveTheWayToAUrlAndBack) {
  const std::string path = "pool/main/g/g++/g++_4%12.2~rc1+b:1_amd64.deb";
  const std::string encoded = percent_encode_path(path);
  EXPECT_EQ(encoded, "pool/main/g/g%2b%2b/g%2b%2b_4%2512.2%7erc1%2bb%3a1_amd64.deb");
  EXPECT_EQ(percent_decode(encoded), path);
  EXPECT_EQ(percent_decode("100%"), "100%");
  EXPECT_EQ(percent_decode("%zz"), "%zz");
}

TEST(Mirrors, ThatNothingUsesAreNamed) {
  const Mirrors mirrors =
      Mirrors::parse("debain=http://h/debian,debian=http://h/debian,images=http://h,own=http://h/own");
  EXPECT_EQ(mirrors.unused({{"own", "http://o", "", {}}}), std::vector<std::string>{"debain"});
}

TEST(Mirrors, ReplaceTheAddressOfOneRepositoryOnly) {
  const Mirrors mirrors = Mirrors::parse("debian=http://127.0.0.1:8080/debian/");
  EXPECT_EQ(mirrors.url_for("debian", "http://deb.debian.org/debian"), "http://127.0.0.1:8080/debian");
  EXPECT_EQ(mirrors.url_for("debian-security", "http://s/"), "http://s");
  EXPECT_THROW(static_cast<void>(Mirrors::parse("debian")), Error);
  EXPECT_THROW(static_cast<void>(Mirrors::parse("debian=file:///x")), Error);
  EXPECT_THROW(static_cast<void>(Mirrors::parse("debian=http://x [trusted=yes]")), Error);
}

TEST(Artefacts, UrlsAreEncodedAndFileNamesUnique) {
  const std::vector<Repository> repositories = {{"debian", "http://d/debian/", "bookworm", {"main"}}};
  const auto artefacts = artefacts_of({package("g++", "amd64", true)}, repositories, Mirrors());
  ASSERT_EQ(artefacts.size(), 1U);
  EXPECT_EQ(artefacts[0].url, "http://d/debian/pool/g%2b%2b_1%253a2%2b3%7e4.deb");
  EXPECT_EQ(file_name_of(package("g++", "amd64", true), ".deb"), "g++_1%3a2+3~4_amd64.deb");
  EXPECT_THROW(static_cast<void>(artefacts_of({package("x", "all", true)}, {}, Mirrors())), Error);
}

TEST(Names, TheNearestOneIsSuggested) {
  EXPECT_EQ(did_you_mean({"gti", "qqqqqqqq"}, {"git", "gnome-shell", ""}), "did you mean 'git'?");
  EXPECT_EQ(did_you_mean({"gitt"}, {"gist", "git"}), "did you mean 'git'?");
  EXPECT_EQ(did_you_mean({"qqqqqqqq"}, {"git"}), "");
}

}  // namespace
}  // namespace karapace::runtime
