// SPDX-License-Identifier: Apache-2.0
// Pairs of locks, and the least that tells them apart.
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "karapace/schema/lock_diff.hpp"
#include "samples.hpp"

namespace karapace {
namespace {

LockedPackage package(const std::string& name, const std::string& version, bool requested = false) {
  LockedPackage result;
  result.name = name;
  result.version = version;
  result.arch = "amd64";
  result.sha256 = hash_bytes(name + version).hex();
  result.size = 10;
  result.repository = "debian";
  result.path = "pool/" + name + "_" + version + ".deb";
  result.requested = requested;
  return result;
}

LockFile sample() {
  LockFile lock;
  lock.base_image = "debian/12";
  lock.base_image_digest = hash_bytes("base").hex();
  lock.arch = "amd64";
  lock.base.distribution = "debian/bookworm";
  lock.base.variant = "minbase";
  lock.base.packages = {package("base-files", "12.4"), package("libc6", "2.36-9")};
  lock.repositories = {{"debian", "http://deb.debian.org/debian", "bookworm", {"main"}}};
  lock.requested_packages = {"curl", "git"};
  lock.resolved_packages = {package("curl", "7.88", true), package("git", "1:2.39", true),
                            package("libcurl4", "7.88"), package("perl", "5.36")};
  lock.runtime_backend = "namespace";
  lock.mounts = {{"work", "./", "/work", MountAccess::ReadWrite}};
  seal_identity(lock);
  return lock;
}

LockFile changed(const std::function<void(LockFile&)>& edit, LockFile lock = sample()) {
  edit(lock);
  seal_identity(lock);
  return lock;
}

LockedPackage& find(LockFile& lock, const std::string& name) {
  for (LockedPackage& candidate : lock.resolved_packages)
    if (candidate.name == name) return candidate;
  throw std::runtime_error("no package " + name);
}

/// One line per change, what it includes indented: "~ package git version 1 -> 2".
void describe(const std::vector<InputChange>& changes, const std::string& indent, std::string& text) {
  for (const InputChange& change : changes) {
    const char* sign = change.sign == ChangeSign::Added     ? "+"
                       : change.sign == ChangeSign::Removed ? "-"
                                                            : "~";
    text += indent + sign + (change.identity ? " " : " (") + change.what;
    if (!change.name.empty()) text += " " + change.name;
    for (const FieldChange& field : change.fields) {
      text += " " + field.field + " " + field.from + ">" + field.to;
    }
    text += change.identity ? "\n" : ")\n";
    describe(change.includes, indent + "  ", text);
  }
}

std::string compare(const LockFile& a, const LockFile& b) {
  const std::vector<InputChange> changes = compare_inputs(a, b);
  bool moves = false;
  for (const InputChange& change : changes) moves = moves || change.identity;
  if (is_resolved(a) && is_resolved(b) && a.lock_version == b.lock_version) {
    EXPECT_EQ(moves, a.env_id != b.env_id);
  }
  std::string text;
  describe(changes, "", text);
  return text;
}

std::string after(const std::function<void(LockFile&)>& edit) { return compare(sample(), changed(edit)); }

TEST(CompareInputs, EqualLocksDifferInNothing) { EXPECT_EQ(compare(sample(), sample()), ""); }

TEST(CompareInputs, AnAddedPackageIsTheCauseOfWhatItBroughtAlong) {
  const auto add = [](LockFile& lock) {
    lock.requested_packages.emplace_back("jq");
    lock.resolved_packages.push_back(package("jq", "1.6", true));
    lock.resolved_packages.push_back(package("libjq1", "1.6"));
    lock.resolved_packages.push_back(package("libonig5", "6.9"));
  };
  EXPECT_EQ(after(add),
            "+ package jq version >1.6\n"
            "  + package libjq1 version >1.6\n"
            "  + package libonig5 version >6.9\n");
  EXPECT_EQ(compare(changed(add), sample()),
            "- package jq version 1.6>\n"
            "  - package libjq1 version 1.6>\n"
            "  - package libonig5 version 6.9>\n");
}

TEST(CompareInputs, ANewVersionIsNamedWithoutTheHashThatFollowsFromIt) {
  EXPECT_EQ(after([](LockFile& lock) { find(lock, "git") = package("git", "1:2.40", true); }),
            "~ package git version 1:2.39>1:2.40\n");
}

TEST(CompareInputs, OtherBytesUnderTheSameVersionAreNamedByTheirHash) {
  const std::string old_hash = hash_bytes("perl5.36").hex();
  const std::string new_hash = hash_bytes("other").hex();
  EXPECT_EQ(after([&](LockFile& lock) { find(lock, "perl").sha256 = new_hash; }),
            "~ package perl sha256 " + old_hash + ">" + new_hash + "\n");
}

TEST(CompareInputs, AnotherArchitectureOfAPackageIsNamedAsThat) {
  EXPECT_EQ(after([](LockFile& lock) {
              find(lock, "perl").arch = "i386";
              find(lock, "perl").sha256 = hash_bytes("i386").hex();
            }),
            "~ package perl arch amd64>i386\n");
}

TEST(CompareInputs, AnotherRepositoryMovesTheIdentityOnlyWithOtherBytes) {
  const auto move = [](LockFile& lock) {
    lock.repositories.push_back({"debian-security", "http://deb.debian.org/debian-security", "x", {"main"}});
    find(lock, "perl").repository = "debian-security";
  };
  EXPECT_EQ(after(move),
            "~ (package perl repository debian>debian-security)\n"
            "+ (repository debian-security url >http://deb.debian.org/debian-security suite >x components "
            ">main)\n");
  EXPECT_EQ(after([&](LockFile& lock) {
              find(lock, "perl") = package("perl", "5.37");
              move(lock);
            }).substr(0, 71),
            "~ package perl version 5.36>5.37 repository debian>debian-security\n+ (r");
}

TEST(CompareInputs, AMirrorIsNoPartOfTheIdentity) {
  EXPECT_EQ(after([](LockFile& lock) { lock.repositories[0].url = "http://mirror.example/debian"; }),
            "~ (repository debian url http://deb.debian.org/debian>http://mirror.example/debian)\n");
}

TEST(CompareInputs, ABaseThatMovedNamesItsPackages) {
  EXPECT_EQ(after([](LockFile& lock) {
              lock.base.packages[1] = package("libc6", "2.36-10");
              lock.base_image_digest = hash_bytes("base 2").hex();
            }),
            "~ base\n  ~ base-package libc6 version 2.36-9>2.36-10\n");
}

TEST(CompareInputs, AnotherPinOfTheBaseIsNamed) {
  const auto tar = changed([](LockFile& lock) {
    lock.base = {};
    lock.base.provider = BaseProvider::Tar;
    lock.base.sha256 = std::string(64, '1');
  });
  EXPECT_EQ(compare(tar, changed(
                             [](LockFile& lock) {
                               lock.base.sha256 = std::string(64, '2');
                               lock.base_image_digest = hash_bytes("base 2").hex();
                             },
                             tar)),
            "~ base sha256 " + std::string(64, '1') + ">" + std::string(64, '2') + "\n");
  const auto image = changed([](LockFile& lock) {
    lock.base = {};
    lock.base.provider = BaseProvider::Lxc;
    lock.base.version = "20260101_04:20";
    lock.base.files = {{"rootfs", "https://example.org/1", std::string(64, '1'), 7}};
  });
  const auto newer = [](LockFile& lock) {
    lock.base.files[0].sha256 = std::string(64, '2');
    lock.base_image_digest = hash_bytes("base 2").hex();
  };
  EXPECT_EQ(compare(image, changed(newer, image)),
            "~ base rootfs " + std::string(64, '1') + ">" + std::string(64, '2') + "\n");
  const auto newer_build = [&](LockFile& lock) {
    newer(lock);
    lock.base.version = "20260102_04:20";
  };
  EXPECT_EQ(compare(image, changed(newer_build, image)), "~ base version 20260101_04:20>20260102_04:20\n");
  EXPECT_EQ(after([](LockFile& lock) { lock.base_image_digest = hash_bytes("base 2").hex(); }),
            "~ base digest " + hash_bytes("base").hex() + ">" + hash_bytes("base 2").hex() + "\n");
}

TEST(CompareInputs, AnotherImageIsTheCauseOfOtherPackages) {
  EXPECT_EQ(after([](LockFile& lock) {
              lock.base_image = "debian/13";
              lock.base_image_digest = hash_bytes("base 13").hex();
              lock.base.distribution = "debian/trixie";
              lock.base.packages[1] = package("libc6", "2.41");
              lock.repositories[0].suite = "trixie";
              find(lock, "git") = package("git", "1:2.47", true);
              find(lock, "perl") = package("perl", "5.40");
            }),
            "~ base image debian/12>debian/13\n"
            "  ~ base-package libc6 version 2.36-9>2.41\n"
            "  ~ package git version 1:2.39>1:2.47\n"
            "  ~ package perl version 5.36>5.40\n"
            "  ~ (repository debian suite bookworm>trixie)\n");
}

TEST(CompareInputs, AnotherNameForTheSameBaseIsNoOtherIdentity) {
  EXPECT_EQ(after([](LockFile& lock) { lock.base_image = "debian/bookworm"; }),
            "~ (base image debian/12>debian/bookworm)\n");
}

TEST(CompareInputs, EachPolicyFieldIsNamedAsTheManifestCallsIt) {
  EXPECT_EQ(after([](LockFile& lock) { lock.hardware_gpu = true; }),
            "~ policy hardware.gpu value false>true\n");
  EXPECT_EQ(after([](LockFile& lock) { lock.hardware_audio = true; }),
            "~ policy hardware.audio value false>true\n");
  EXPECT_EQ(after([](LockFile& lock) { lock.network_isolation = true; }),
            "~ policy runtime.network_isolation value false>true\n");
  EXPECT_EQ(after([](LockFile& lock) { lock.cpu_shares = 0; }),
            "~ policy runtime.resource_limits.cpu_shares value >0\n");
  EXPECT_EQ(after([](LockFile& lock) { lock.memory_limit_mb = 512; }),
            "~ policy runtime.resource_limits.memory_limit_mb value >512\n");
  EXPECT_EQ(after([](LockFile& lock) { lock.runtime_backend = "oci"; }),
            "~ policy runtime.backend value namespace>oci\n");
}

TEST(CompareInputs, OwnershipIsTheCauseOfAnotherBase) {
  EXPECT_EQ(after([](LockFile& lock) {
              lock.ownership = Ownership::Mapped;
              lock.base_image_digest = hash_bytes("mapped").hex();
              lock.dependency_layer = hash_bytes("mapped packages").hex();
            }),
            "~ policy system.ownership value flat>mapped\n  ~ base\n");
}

TEST(CompareInputs, AnArchitectureIsTheCauseOfEverythingElse) {
  EXPECT_EQ(after([](LockFile& lock) {
              lock.arch = "arm64";
              lock.base_image_digest = hash_bytes("arm64").hex();
              for (LockedPackage& each : lock.resolved_packages) each.arch = "arm64";
            }),
            "~ arch value amd64>arm64\n"
            "  ~ base\n"
            "  ~ package curl arch amd64>arm64\n"
            "  ~ package git arch amd64>arm64\n"
            "  ~ package libcurl4 arch amd64>arm64\n"
            "  ~ package perl arch amd64>arm64\n");
}

TEST(CompareInputs, MountsAreComparedByTheirLabel) {
  EXPECT_EQ(after([](LockFile& lock) {
              lock.mounts[0].access = MountAccess::ReadOnly;
              lock.mounts.push_back({"cache", "~/.cache", "/cache", MountAccess::ReadWrite});
            }),
            "+ mount cache host_path >~/.cache container_path >/cache\n"
            "~ mount work access rw>ro\n");
}

TEST(CompareInputs, AppsArePartOfTheIdentityAndNamesOfWhatTheBaseHasAreNot) {
  EXPECT_EQ(after([](LockFile& lock) {
              lock.resolved_apps = {"firefox"};
              lock.resolved_packages.push_back(package("firefox", "128", true));
              lock.resolved_packages.push_back(package("libgtk-3-0", "3.24"));
            }),
            "+ app firefox version >128\n  + package libgtk-3-0 version >3.24\n");
  EXPECT_EQ(after([](LockFile& lock) {
              lock.requested_packages = {"curl"};
              lock.resolved_apps = {"git"};
            }),
            "~ app git list system.packages>gui.apps\n");
  EXPECT_EQ(after([](LockFile& lock) { lock.requested_packages.emplace_back("base-files"); }),
            "+ (request base-files)\n");
}

TEST(CompareInputs, ARequestForAVersionBelongsToItsPackage) {
  EXPECT_EQ(after([](LockFile& lock) {
              lock.requested_packages = {"curl", "git=1:2.40"};
              find(lock, "git") = package("git", "1:2.40", true);
            }),
            "~ package git request git>git=1:2.40 version 1:2.39>1:2.40\n");
}

TEST(CompareInputs, ARequestForADependencyIsPartOfTheIdentity) {
  const auto ask = [](LockFile& lock) {
    lock.requested_packages = {"curl", "git", "perl"};
    find(lock, "perl").requested = true;
  };
  EXPECT_EQ(after(ask), "+ request perl\n");
  EXPECT_EQ(compare(changed(ask), sample()), "- request perl\n");
  EXPECT_EQ(after([&](LockFile& lock) {
              ask(lock);
              lock.requested_packages.back() = "perl=5.36";
            }),
            "+ request perl\n");
  EXPECT_EQ(after([](LockFile& lock) {
              lock.resolved_apps = {"perl"};
              find(lock, "perl").requested = true;
            }),
            "+ app perl\n");
  EXPECT_EQ(after([&](LockFile& lock) {
              ask(lock);
              find(lock, "perl") = package("perl", "5.37", true);
            }),
            "~ package perl version 5.36>5.37 requested false>true\n");
  EXPECT_EQ(after([](LockFile& lock) { find(lock, "perl").requested = true; }),
            "~ package perl requested false>true\n");
}

TEST(CompareInputs, WhatNobodyAskedForIsACauseOnlyIfNothingElseIs) {
  EXPECT_EQ(after([](LockFile& lock) { find(lock, "perl") = package("perl", "5.37"); }),
            "~ package perl version 5.36>5.37\n");
  EXPECT_EQ(after([](LockFile& lock) {
              find(lock, "curl") = package("curl", "8", true);
              find(lock, "git") = package("git", "2", true);
              find(lock, "libcurl4") = package("libcurl4", "8");
              find(lock, "perl") = package("perl", "6");
            }),
            "~ package curl version 7.88>8\n"
            "~ package git version 1:2.39>2\n"
            "~ dependencies\n"
            "  ~ package libcurl4 version 7.88>8\n"
            "  ~ package perl version 5.36>6\n");
}

TEST(CompareInputs, SeveralFilesOfOneNameAreComparedByArchitecture) {
  const auto twice = changed([](LockFile& lock) {
    lock.resolved_packages.push_back(package("git", "1:2.39"));
    lock.resolved_packages.back().arch = "i386";
  });
  EXPECT_EQ(compare(sample(), twice), "+ package git version >1:2.39\n");
  EXPECT_EQ(compare(twice, changed(
                               [](LockFile& lock) {
                                 for (LockedPackage& each : lock.resolved_packages)
                                   if (each.arch == "i386") each.version = "1:2.40";
                               },
                               twice)),
            "~ package git version 1:2.39>1:2.40\n");
}

TEST(CompareInputs, AnotherResultOfTheSameInputsIsShown) {
  const auto built = [](const std::string& digest) {
    return changed([&](LockFile& lock) { lock.dependency_layer = hash_bytes(digest).hex(); });
  };
  EXPECT_EQ(compare(built("1"), built("2")),
            "~ (dependency-layer digest " + hash_bytes("1").hex() + ">" + hash_bytes("2").hex() + ")\n");
  EXPECT_EQ(compare(built("1"), sample()), "");
}

TEST(CompareInputs, AnotherFormatIsNamed) {
  LockFile other = sample();
  other.lock_version = 3;
  EXPECT_EQ(compare(sample(), other), "~ format lock_version 2>3\n");
}

TEST(CompareInputs, AManifestIsComparedByWhatItSays) {
  Manifest manifest;
  manifest.base_image = "debian/12";
  manifest.system_packages = {"curl", "git"};
  manifest.mounts = sample().mounts;
  EXPECT_EQ(compare(unresolved_lock(manifest), sample()), "");
  manifest.system_packages = {"curl", "jq"};
  manifest.hardware_gpu = true;
  manifest.base_image = "debian/13";
  EXPECT_EQ(compare(sample(), unresolved_lock(manifest)),
            "~ policy hardware.gpu value false>true\n"
            "~ base image debian/12>debian/13\n"
            "- package git\n"
            "+ package jq\n");
}

/// Whatever differs: env_id moves if and only if a change says so.
TEST(CompareInputs, SaysThatTheIdentityMovesExactlyIfItDoes) {
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    const LockFile a = testing::RandomLock(seed).make();
    LockFile b = seed % 2 == 0 ? testing::RandomLock(seed + 1000).make() : a;
    testing::RandomLock random(seed);
    if (random.coin()) b.hardware_gpu = a.hardware_gpu;
    if (random.coin()) b.resolved_packages = a.resolved_packages;
    if (random.coin()) b.repositories = a.repositories;
    if (random.coin() && !b.resolved_packages.empty()) b.resolved_packages.pop_back();
    if (random.coin() && !b.resolved_packages.empty())
      b.resolved_packages[0].requested = !b.resolved_packages[0].requested;
    seal_identity(b);
    static_cast<void>(compare(a, b));
    EXPECT_EQ(compare(a, a), "") << seed;
    EXPECT_EQ(compare(a, b).empty(), compare(b, a).empty()) << seed;
  }
}

}  // namespace
}  // namespace karapace
