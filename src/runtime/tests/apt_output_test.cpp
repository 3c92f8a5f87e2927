// SPDX-License-Identifier: Apache-2.0
#include "packages/apt_output.hpp"

#include <gtest/gtest.h>

#include "karapace/base/error.hpp"
#include "packages/apt.hpp"
#include "packages/apt_sources.hpp"
#include "packages/apt_workspace.hpp"
#include "packages/step_output.hpp"

namespace karapace::runtime::apt {
namespace {

const std::string kHash(64, '7');

TEST(PrintUris, ReadsAddressSizeAndHashAndSkipsOtherLines) {
  const auto uris = parse_print_uris(
      "Reading package lists...\n'http://d/debian/pool/g/git_1%3a2%2bx_amd64.deb' "
      "git_1%3a2+x_amd64.deb 12345 SHA256:" +
      kHash + "\n");
  ASSERT_EQ(uris.size(), 1U);
  EXPECT_EQ(uris[0].size, 12345U);
  EXPECT_EQ(uris[0].sha256, kHash);
}

TEST(PrintUris, WeakHashIsAnErrorThatNamesTheFile) {
  try {
    static_cast<void>(parse_print_uris("'http://d/x.deb' x.deb 1 MD5Sum:0123\n"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_TRUE(error.message().contains("http://d/x.deb"));
  }
}

TEST(Unreachable, AFullDiskIsNoQuestionOfTheNetwork) {
  RunResult result;
  result.err = "E: Write error - write (28: No space left on device)\n";
  try {
    throw_unreachable("cannot read the archive", result);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::NoSpace);
    EXPECT_EQ(error.fix().find("network"), std::string::npos) << error.fix();
  }
}

TEST(Simulation, TellsInstallsUpgradesAndRemovals) {
  const Simulation simulation = parse_simulation(
      "Remv old [1.0]\n"
      "Inst libc6 [2.36-9] (2.36-9+deb12u14 Debian:12.1/stable, Debian-Security:12/stable [amd64]) "
      "[libc-bin:amd64 ]\n"
      "Inst git (1:2.39.5-0+deb12u2 Debian:12.1/stable [amd64])\n"
      "Inst git-man (1:2.39.5 Debian:12.1/stable [all]) []\n"
      "Conf git (1:2.39.5-0+deb12u2 Debian:12.1/stable [amd64])\n");
  EXPECT_EQ(simulation.removals, std::vector<std::string>{"old"});
  ASSERT_EQ(simulation.installs.size(), 3U);
  EXPECT_EQ(simulation.installs[0].old_version, "2.36-9");
  EXPECT_EQ(simulation.installs[0].version, "2.36-9+deb12u14");
  EXPECT_EQ(simulation.installs[0].arch, "amd64");
  EXPECT_EQ(simulation.installs[1].old_version, "");
  EXPECT_EQ(simulation.installs[1].version, "1:2.39.5-0+deb12u2");
  EXPECT_EQ(simulation.installs[2].arch, "all");
}

TEST(Stanzas, KeepContinuationLinesAndIgnoreCase) {
  const auto stanzas =
      parse_stanzas("Package: a\nDescription: one\n two\n .\n three\nVersion: 1\n\n\nPackage: b\n");
  ASSERT_EQ(stanzas.size(), 2U);
  EXPECT_EQ(stanzas[0].get("description"), "one\n two\n .\n three");
  EXPECT_EQ(stanzas[0].text(), "Package: a\nDescription: one\n two\n .\n three\nVersion: 1\n");
  EXPECT_EQ(stanzas[1].get("Package"), "b");
  EXPECT_EQ(stanzas[1].get("Version"), "");
}

TEST(UnknownPackages, NamesAllOfThemOnce) {
  EXPECT_EQ(unknown_packages(
                "W: noise\nE: Unable to locate package nosuch\nE: Package 'virt' has no installation "
                "candidate\nE: Unable to locate package nosuch\nE: Version '9' for 'git' was not found\n"),
            (std::vector<std::string>{"git=9", "nosuch", "virt"}));
  EXPECT_TRUE(unknown_packages("E: Unable to correct problems, you have held broken packages.\n").empty());
}

TEST(PackagesInTheWay, AreThoseThatOthersNeedInAnotherVersionElseWhoNeedsThem) {
  const std::vector<std::string> locked = {"alpha", "liba", "libstdc++6"};
  const std::string first =
      "Reading package lists...\nalpha liba\nThe following packages have unmet dependencies:\n alpha : "
      "Depends: "
      "liba (>= 2) but 1 is to be installed\n         Depends: libstdc++6:amd64 (>= 13) but 12 is to be "
      "installed\nE: Unable to correct problems, you have held broken packages.\n";
  EXPECT_EQ(packages_in_the_way(first, locked), (std::vector<std::string>{"liba", "libstdc++6"}));
  EXPECT_EQ(packages_in_the_way(first, {"alpha"}), (std::vector<std::string>{"alpha"}));
  const std::string sentences =
      "E: Unable to satisfy dependencies. Reached two conflicting assignments:\n   1. liba:amd64=1 is "
      "selected "
      "for install\n   2. beta:all=2 Depends liba (>= 2)\n";
  EXPECT_EQ(packages_in_the_way(sentences, locked), (std::vector<std::string>{"liba"}));
  EXPECT_TRUE(packages_in_the_way("E: Unable to locate package liba\n", locked).empty());
}

TEST(RequestedNames, SayWhichPackageIsMeantWhateverIsBehindThem) {
  EXPECT_EQ(name_in_request("git"), "git");
  EXPECT_EQ(name_in_request("g++=4:12.2.0-3"), "g++");
  EXPECT_EQ(name_in_request("libc6:i386"), "libc6");
  EXPECT_EQ(name_in_request("jq/stable"), "jq");
}

TEST(RequestedNames, AreNeverOrdersOrRegularExpressionsOfApt) {
  const std::vector<std::string> known = {"awk", "g++", "hello-traditional", "jq", "libstdc++6"};
  EXPECT_TRUE(
      inexact_names({"awk", "g++", "g++:amd64", "g++=4:12.2.0-3", "jq/stable", "libstdc++6"}, known).empty());
  const std::vector<std::string> inexact = {"jq-",        "jq+",         "hell.-traditional",
                                            "j.",         "ssh-server^", "jq=1-",
                                            "jq/stable-", "jq:amd64-",   "jq//stab/"};
  EXPECT_EQ(inexact_names(inexact, known), inexact);
}

TEST(VirtualPackages, AreExplainedByWhoProvidesThem) {
  const std::string output =
      "Package awk is a virtual package provided by:\n  original-awk 1:20220912-2 (= 1)\n  mawk 1.3.4\n  "
      "gawk:amd64 1\n"
      "You should explicitly select one to install.\n\n  stray 1\nE: Package 'awk' has no installation "
      "candidate\n";
  EXPECT_EQ(virtual_providers(output, "awk"), (std::vector<std::string>{"gawk", "mawk", "original-awk"}));
  EXPECT_TRUE(virtual_providers(output, "aw").empty());
}

TEST(Locate, FindsTheLongestRepositoryAndDecodesThePath) {
  const std::vector<Repository> repositories = {
      {"debian", "http://d/debian", "bookworm", {"main"}},
      {"debian-security", "http://d/debian-security", "x", {"main"}}};
  const auto found = locate("http://d/debian-security/pool/x%2by.deb", repositories, Mirrors());
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->repository, "debian-security");
  EXPECT_EQ(found->path, "pool/x+y.deb");
  EXPECT_FALSE(locate("http://elsewhere/x.deb", repositories, Mirrors()).has_value());
}

TEST(SourcesList, SuitesOfOneArchiveShareAStanzaAndKeysAreNamed) {
  const ImageReference image = parse_image("debian/12", "/");
  EXPECT_EQ(sources_list(image.apt_sources, Mirrors(), {"/k.gpg"}),
            "deb [signed-by=/k.gpg] http://deb.debian.org/debian bookworm main\n"
            "deb [signed-by=/k.gpg] http://deb.debian.org/debian bookworm-updates main\n"
            "deb [signed-by=/k.gpg] http://deb.debian.org/debian-security bookworm-security main\n");
  EXPECT_EQ(
      deb822_sources(image.apt_sources, "/k.gpg"),
      "Types: deb\nURIs: http://deb.debian.org/debian\nSuites: bookworm bookworm-updates\nComponents: main\n"
      "Signed-By: /k.gpg\n\nTypes: deb\nURIs: http://deb.debian.org/debian-security\nSuites: "
      "bookworm-security\n"
      "Components: main\nSigned-By: /k.gpg\n");
  EXPECT_EQ(repositories_of(image.apt_sources).size(), 2U);
}

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

TEST(ExtendedStates, AddsWhatNobodyAskedForAndClearsWhatSomebodyDid) {
  EXPECT_EQ(
      extended_states("Package: git\nArchitecture: amd64\nAuto-Installed: 1\n\nPackage: old\nArchitecture: "
                      "amd64\nAuto-Installed: 1\n",
                      {package("git", "amd64", true), package("perl-doc", "all", false)}, "amd64"),
      "Package: old\nArchitecture: amd64\nAuto-Installed: 1\n\nPackage: perl-doc\nArchitecture: "
      "amd64\nAuto-Installed: 1\n\n");
}

TEST(LastLines, LeavesOutTheStatusOfDpkgAndControlCharacters) {
  EXPECT_EQ(last_lines("one\ntwo\n", "status: git: installed\nprocessing: install: git\nE: \x1b[31mbad\n", 2),
            "two\nE: \\x1b[31mbad");
}

TEST(LastLines, ShowsTheErrorAmongHundredsOfPackagesThatAreThereAlready) {
  std::string out = "dpkg: error processing archive a.deb (--unpack):\n";
  for (int i = 0; i < 300; ++i)
    out += "dpkg: warning: package p" + std::to_string(i) + " already installed, skipping\n";
  EXPECT_EQ(last_lines(out, "E: end\n"), "dpkg: error processing archive a.deb (--unpack):\nE: end");
}

TEST(AptConf, NamesNoDirectoryOfTheHost) {
  const std::string text = apt_conf({.directory = "/d",
                                     .status_file = "/s",
                                     .architecture = "amd64",
                                     .sources_file = "/d/list",
                                     .sources_parts = {},
                                     .preferences_file = {},
                                     .trusted_directory = "/d/none"});
  for (const char* key :
       {"Dir::Etc::main", "Dir::Etc::parts", "Dir::Etc::sourceparts", "Dir::Etc::preferencesparts",
        "Dir::Etc::trustedparts", "Dir::State::lists", "Dir::Cache"}) {
    EXPECT_TRUE(text.contains(key + std::string(" \"/d/"))) << key;
  }
}

TEST(AptConf, ExpiredArchivesAreAcceptedOnlyIfTheHostSaysSo) {
  AptConfig config;
  EXPECT_FALSE(apt_conf(config).contains("Valid-Until"));
  config.accept_expired = true;
  EXPECT_TRUE(apt_conf(config).contains("Acquire::Check-Valid-Until \"false\";"));
}

TEST(PackageStates, AreReadLineByLineAndWhatIsNoneIsLeftOut) {
  const auto states = parse_states(
      "installed\tgit\t1:2.39\tamd64\tgit\nconfig-files\told\t1\tall\told\n\nnoise\na\tb\tc\td\n");
  ASSERT_EQ(states.size(), 2U);
  EXPECT_EQ(states[0].status, "installed");
  EXPECT_EQ(states[0].name, "git");
  EXPECT_EQ(states[0].version, "1:2.39");
  EXPECT_EQ(states[0].arch, "amd64");
  EXPECT_EQ(states[0].qualified, "git");
  EXPECT_EQ(states[1].status, "config-files");
}

TEST(PackageStates, OnlyWhatIsUnpackedAtLeastHasFiles) {
  for (const char* status :
       {"unpacked", "half-configured", "triggers-awaited", "triggers-pending", "installed"})
    EXPECT_TRUE(has_files({status, "a", "1", "all", "a"})) << status;
  for (const char* status : {"not-installed", "config-files", "half-installed", ""})
    EXPECT_FALSE(has_files({status, "a", "1", "all", "a"})) << status;
}

TEST(InstalledPackages, OfAnotherArchitectureThanTheLockSaysAreNotWhatWasLocked) {
  const std::vector<LockedPackage> locked = {package("git", "amd64", true), package("doc", "all", false)};
  EXPECT_TRUE(not_installed(locked, {{"doc", "1:2+3~4", "all"}, {"git", "1:2+3~4", "amd64"}}).empty());
  EXPECT_TRUE(not_installed(locked, {{"doc", "1:2+3~4"}, {"git", "1:2+3~4"}}).empty()) << "nobody knows";
  EXPECT_EQ(not_installed(locked, {{"doc", "1:2+3~4", "all"}, {"git", "1:2+3~4", "all"}}).size(), 1U);
  EXPECT_EQ(not_installed(locked, {{"git", "1:2+3~4", "amd64"}}).size(), 1U);
}

}  // namespace
}  // namespace karapace::runtime::apt
