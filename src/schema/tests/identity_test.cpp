// SPDX-License-Identifier: Apache-2.0
#include "karapace/schema/identity.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>
#include <set>

#include "karapace/base/json.hpp"
#include "samples.hpp"

namespace karapace {
namespace {

using testing::mock_lock;
using testing::RandomLock;

LockFile rich_lock() {
  for (std::uint32_t seed = 0;; ++seed) {
    LockFile lock = RandomLock(seed).make();
    if (lock.resolved_packages.size() > 2 && lock.mounts.size() > 1 && lock.resolved_apps.size() > 1)
      return lock;
  }
}

std::string id_of(LockFile lock) {
  seal_identity(lock);
  return lock.env_id;
}

TEST(EnvId, IsSixtyFourHexDigits) {
  const EnvId id = compute_env_id(rich_lock());
  EXPECT_EQ(EnvId::parse(id.str()), id);
  EXPECT_EQ(id.short_id(), id.str().substr(0, 12));
  for (const std::string& text :
       {std::string(), std::string(63, 'a'), std::string(64, 'A'), std::string(65, 'a')}) {
    EXPECT_THROW(static_cast<void>(EnvId::parse(text)), Error);
  }
}

TEST(Identity, EveryIdentityFieldChangesTheId) {
  const std::vector<std::function<void(LockFile&)>> changes = {
      [](LockFile& l) { l.base_image_digest = hash_bytes("other").hex(); },
      [](LockFile& l) { l.arch = "riscv64"; },
      [](LockFile& l) { l.ownership = l.ownership == Ownership::Flat ? Ownership::Mapped : Ownership::Flat; },
      [](LockFile& l) { l.resolved_packages[0].name += "x"; },
      [](LockFile& l) { l.resolved_packages[0].version += "x"; },
      [](LockFile& l) { l.resolved_packages[0].arch = "i386"; },
      [](LockFile& l) { l.resolved_packages[0].sha256 = hash_bytes("other").hex(); },
      [](LockFile& l) { l.resolved_packages[0].requested = !l.resolved_packages[0].requested; },
      [](LockFile& l) { l.resolved_packages.pop_back(); },
      [](LockFile& l) { l.resolved_apps[0] += "x"; },
      [](LockFile& l) { l.resolved_apps.pop_back(); },
      [](LockFile& l) { l.runtime_backend = "oci"; },
      [](LockFile& l) { l.hardware_gpu = !l.hardware_gpu; },
      [](LockFile& l) { l.hardware_audio = !l.hardware_audio; },
      [](LockFile& l) { l.network_isolation = !l.network_isolation; },
      [](LockFile& l) { l.mounts[0].label += "x"; },
      [](LockFile& l) { l.mounts[0].host_path += "x"; },
      [](LockFile& l) { l.mounts[0].container_path += "x"; },
      [](LockFile& l) {
        using enum MountAccess;
        l.mounts[0].access = l.mounts[0].access == ReadOnly ? ReadWrite : ReadOnly;
      },
      [](LockFile& l) { l.cpu_shares = l.cpu_shares.value_or(0) + 12345; },
      [](LockFile& l) { l.memory_limit_mb = l.memory_limit_mb.value_or(0) + 12345; },
  };
  const LockFile lock = rich_lock();
  std::set<std::string> ids = {id_of(lock)};
  for (const auto& change : changes) {
    LockFile changed = lock;
    change(changed);
    EXPECT_TRUE(ids.insert(id_of(changed)).second) << "change " << ids.size();
  }
}

TEST(Identity, WhereThingsComeFromDoesNotChangeTheId) {
  const std::vector<std::function<void(LockFile&)>> changes = {
      [](LockFile& l) { l.base_image = "another name of the same base"; },
      [](LockFile& l) { l.dependency_layer = hash_bytes("layer").hex(); },
      [](LockFile& l) { l.base.url = "http://mirror.example.org/"; },
      [](LockFile& l) { l.base.packages.clear(); },
      [](LockFile& l) {
        l.repositories = {{"mirror", "http://mirror.example.org", "", {}}};
      },
      [](LockFile& l) { l.requested_packages = {"other"}; },
      [](LockFile& l) { l.resolved_packages[0].size += 1; },
      [](LockFile& l) { l.resolved_packages[0].path = "elsewhere"; },
  };
  const LockFile lock = rich_lock();
  for (const auto& change : changes) {
    LockFile changed = lock;
    change(changed);
    EXPECT_EQ(id_of(changed), id_of(lock));
  }
}

/// Package managers write down who was asked for, so two such environments have other bytes.
TEST(Identity, OnlyAPackageThatWasAskedForSaysSo) {
  LockFile lock = mock_lock(parse_manifest("manifest_version = 1\n[base]\nimage = \"a\"\n", "x"));
  LockedPackage alpha;
  alpha.name = "alpha";
  alpha.requested = true;
  LockedPackage liba;
  liba.name = "liba";
  lock.resolved_packages = {alpha, liba};
  EXPECT_EQ(parse_json(identity_json(lock), "identity").at("packages"),
            parse_json(R"([{"arch":"","name":"alpha","requested":true,"sha256":"","version":""},
                           {"arch":"","name":"liba","sha256":"","version":""}])",
                       "packages"));
}

TEST(Identity, OrderDoesNotMatter) {
  const LockFile lock = rich_lock();
  std::mt19937 random(3);
  for (int round = 0; round < 20; ++round) {
    LockFile shuffled = lock;
    std::shuffle(shuffled.resolved_packages.begin(), shuffled.resolved_packages.end(), random);
    std::shuffle(shuffled.resolved_apps.begin(), shuffled.resolved_apps.end(), random);
    std::shuffle(shuffled.mounts.begin(), shuffled.mounts.end(), random);
    EXPECT_EQ(compute_env_id(shuffled).str(), lock.env_id);
    EXPECT_EQ(id_of(shuffled), lock.env_id);
  }
}

TEST(Identity, OrderInTheManifestDoesNotMatter) {
  const auto parse = [](std::string_view text) { return parse_manifest(text, "x"); };
  const Manifest a = parse(
      "manifest_version = 1\n[base]\nimage = \"a\"\n[system]\npackages = [\"x\", \"y\", \"z\"]\n[mounts]\nm "
      "= \"/a:/b\"\n"
      "n = \"/a:/c\"\n[hardware]\ngpu = true\naudio = false\n");
  const Manifest b = parse(
      "hardware = { audio = false, gpu = true }\nmanifest_version = 1\n[mounts]\nn = \"/a:/c:rw\"\nm = "
      "\"/a:/b\"\n"
      "[system]\npackages = [\"z\", \"x\", \"y\", \"x\"]\n[runtime]\nbackend = \"NAMESPACE\"\n[base]\nimage "
      "= \" a \"\n");
  EXPECT_EQ(a, b);
  EXPECT_EQ(compute_preliminary_id(a), compute_preliminary_id(b));
  EXPECT_EQ(mock_lock(a).env_id, mock_lock(b).env_id);
}

/// Each pair gave one id when fields were joined without separators.
TEST(Identity, FieldsCannotRunIntoEachOther) {
  const LockFile plain = mock_lock(parse_manifest("manifest_version = 1\n[base]\nimage = \"a\"\n", "x"));
  const auto with = [&](const std::function<void(LockFile&)>& change) {
    LockFile lock = plain;
    change(lock);
    return id_of(lock);
  };
  const auto apps = [&](std::vector<std::string> names) {
    return with([&](LockFile& l) { l.resolved_apps = names; });
  };
  EXPECT_NE(apps({"a", "b"}), apps({"aapp:b"}));
  EXPECT_NE(apps({"a", "b"}), apps({"a\",\"b"}));
  EXPECT_NE(apps({"ahw:gpu"}), with([](LockFile& l) {
              l.resolved_apps = {"a"};
              l.hardware_gpu = true;
            }));
  EXPECT_NE(with([](LockFile& l) {
              l.mounts = {{"a", "b", "c:d"}};
            }),
            with([](LockFile& l) {
              l.mounts = {{"a:b", "c", "d"}};
            }));
  const auto package = [](std::string name, std::string version) {
    LockedPackage result;
    result.name = std::move(name);
    result.version = std::move(version);
    return result;
  };
  EXPECT_NE(with([&](LockFile& l) { l.base_image_digest = "xpkg:a@1"; }), with([&](LockFile& l) {
              l.base_image_digest = "x";
              l.resolved_packages = {package("a", "1")};
            }));
  EXPECT_NE(with([&](LockFile& l) { l.resolved_packages = {package("a@1", "2")}; }),
            with([&](LockFile& l) { l.resolved_packages = {package("a", "1@2")}; }));
  EXPECT_NE(with([](LockFile& l) { l.cpu_shares = 0; }), with([](LockFile&) {}));
  EXPECT_NE(with([](LockFile& l) { l.cpu_shares = 1; }), with([](LockFile& l) { l.memory_limit_mb = 1; }));
}

TEST(Identity, DomainsKeepTheTwoIdentitiesApart) {
  EXPECT_NE(kEnvIdDomain, kPreliminaryIdDomain);
  EXPECT_EQ(kEnvIdDomain.back(), '\n');
  EXPECT_EQ(kPreliminaryIdDomain.back(), '\n');
  const LockFile lock = rich_lock();
  EXPECT_EQ(compute_env_id(lock).str(), hash_bytes(std::string(kEnvIdDomain) + identity_json(lock)).hex());
}

TEST(Identity, PreliminaryIdLeavesOutTheHome) {
  Manifest manifest = parse_manifest("manifest_version = 1\n[base]\nimage = \"a\"\n", "x");
  const EnvId before = compute_preliminary_id(manifest);
  manifest.home = Home::Shared;
  EXPECT_EQ(compute_preliminary_id(manifest), before);
  manifest.ownership = Ownership::Mapped;
  EXPECT_NE(compute_preliminary_id(manifest), before);
}

TEST(Identity, JsonHasEveryKeyInOrder) {
  const std::string text =
      identity_json(mock_lock(parse_manifest("manifest_version = 1\n[base]\nimage = \"a\"\n", "x")));
  const Json json = parse_json(text, "identity");
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.items()) keys.push_back(key);
  EXPECT_EQ(keys, (std::vector<std::string>{"apps", "arch", "audio", "backend", "base_digest", "cpu_shares",
                                            "gpu", "memory_limit_mb", "mounts", "network_isolation",
                                            "ownership", "packages"}));
  EXPECT_EQ(canonical_json(json), text);
}

}  // namespace
}  // namespace karapace
