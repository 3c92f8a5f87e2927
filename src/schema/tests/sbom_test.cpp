// SPDX-License-Identifier: Apache-2.0
// Bills of materials against what SPDX 2.3 and CycloneDX 1.5 require of a document.
#include "karapace/schema/sbom.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <set>
#include <string>

#include "karapace/base/json.hpp"
#include "samples.hpp"

namespace karapace {
namespace {

constexpr std::string_view kCreated = "2025-01-01T00:00:00Z";
const std::regex kSpdxId("^SPDXRef-[a-zA-Z0-9.-]+$");
const std::regex kUuid("^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$");
const std::regex kPurl(
    "^pkg:[a-z]+(/[A-Za-z0-9._~-]+)?/"
    "[A-Za-z0-9._~%-]+@[A-Za-z0-9._~%:-]+\\?arch=[a-z0-9_]+(&epoch=[0-9]+)?$");

LockedPackage package(const std::string& name, const std::string& version,
                      const std::string& arch = "amd64") {
  LockedPackage result;
  result.name = name;
  result.version = version;
  result.arch = arch;
  result.sha256 = hash_bytes(name + version + arch).hex();
  result.repository = "debian";
  result.path = "pool/main/" + name + "_" + version + "_" + arch + ".deb";
  return result;
}

LockFile sample() {
  LockFile lock;
  lock.base_image = "debian/12";
  lock.base_image_digest = hash_bytes("base").hex();
  lock.arch = "amd64";
  lock.base.distribution = "debian/bookworm";
  lock.base.packages = {package("libstdc++6", "12.2.0-14+deb12u1"), package("libc6", "2.36-9")};
  lock.repositories = {{"debian", "http://deb.debian.org/debian", "bookworm", {"main"}}};
  lock.resolved_packages = {package("git", "1:2.39~rc"), package("a+b", "1"), package("a-b", "1"),
                            package("a-b", "1", "all")};
  lock.runtime_backend = "namespace";
  seal_identity(lock);
  return lock;
}

Json spdx(const LockFile& lock) { return parse_json(make_sbom(lock, SbomFormat::Spdx, kCreated), "SPDX"); }
Json cyclonedx(const LockFile& lock) {
  return parse_json(make_sbom(lock, SbomFormat::CycloneDx, kCreated), "CycloneDX");
}

/// Every component but the base.
const Json& find(const Json& list, std::string_view name) {
  const auto found = std::ranges::find_if(list, [&](const Json& item) { return item.at("name") == name; });
  if (found == list.end()) throw std::runtime_error("no " + std::string(name));
  return *found;
}

void expect_valid_spdx(const Json& document) {
  EXPECT_EQ(document.at("spdxVersion"), "SPDX-2.3");
  EXPECT_EQ(document.at("dataLicense"), "CC0-1.0");
  EXPECT_EQ(document.at("SPDXID"), "SPDXRef-DOCUMENT");
  EXPECT_FALSE(document.at("name").get<std::string>().empty());
  const std::string space = document.at("documentNamespace");
  EXPECT_TRUE(space.starts_with("https://") && !space.contains('#')) << space;
  EXPECT_EQ(document.at("creationInfo").at("created"), kCreated);
  EXPECT_TRUE(document.at("creationInfo").at("creators").at(0).get<std::string>().starts_with("Tool: "));
  std::set<std::string> ids = {"SPDXRef-DOCUMENT"};
  for (const Json& each : document.at("packages")) {
    const std::string id = each.at("SPDXID");
    EXPECT_TRUE(std::regex_match(id, kSpdxId)) << id;
    EXPECT_TRUE(ids.insert(id).second) << id << " twice";
    EXPECT_FALSE(each.at("name").get<std::string>().empty());
    const std::string location = each.at("downloadLocation");
    EXPECT_TRUE(location == "NOASSERTION" || location.starts_with("http")) << location;
    // Without analysed files there is no verification code, and there must be none.
    EXPECT_FALSE(each.at("filesAnalyzed").get<bool>());
    for (const Json& checksum : each.value("checksums", Json::array())) {
      EXPECT_TRUE(Digest::is_valid(checksum.at("checksumValue").get<std::string>()));
    }
    for (const Json& reference : each.value("externalRefs", Json::array())) {
      EXPECT_EQ(reference.at("referenceCategory"), "PACKAGE-MANAGER");
      EXPECT_EQ(reference.at("referenceType"), "purl");
      EXPECT_TRUE(std::regex_match(reference.at("referenceLocator").get<std::string>(), kPurl)) << reference;
    }
  }
  std::set<std::string> described;
  for (const Json& relation : document.at("relationships")) {
    EXPECT_TRUE(ids.contains(relation.at("spdxElementId"))) << relation;
    EXPECT_TRUE(ids.contains(relation.at("relatedSpdxElement"))) << relation;
    described.insert(relation.at("relatedSpdxElement"));
  }
  EXPECT_EQ(described.size(), ids.size() - 1) << "every package belongs somewhere";
}

void expect_valid_cyclonedx(const Json& document) {
  EXPECT_EQ(document.at("bomFormat"), "CycloneDX");
  EXPECT_EQ(document.at("specVersion"), "1.5");
  EXPECT_EQ(document.at("version"), 1);
  EXPECT_TRUE(std::regex_match(document.at("serialNumber").get<std::string>(), kUuid));
  EXPECT_EQ(document.at("metadata").at("timestamp"), kCreated);
  std::set<std::string> references = {document.at("metadata").at("component").at("bom-ref")};
  const std::set<std::string> types = {"library", "file", "operating-system"};
  for (const Json& component : document.at("components")) {
    EXPECT_TRUE(types.contains(component.at("type"))) << component;
    EXPECT_FALSE(component.at("name").get<std::string>().empty());
    EXPECT_TRUE(references.insert(component.at("bom-ref")).second) << component;
    for (const Json& hash : component.at("hashes"))
      EXPECT_TRUE(Digest::is_valid(hash.at("content").get<std::string>())) << hash;
    if (component.contains("purl")) {
      EXPECT_TRUE(std::regex_match(component.at("purl").get<std::string>(), kPurl)) << component;
    }
  }
  for (const Json& dependency : document.at("dependencies")) {
    EXPECT_TRUE(references.contains(dependency.at("ref")));
    for (const Json& each : dependency.at("dependsOn")) EXPECT_TRUE(references.contains(each)) << each;
  }
}

TEST(Sbom, SpdxHasWhatTheSpecificationRequires) { expect_valid_spdx(spdx(sample())); }

TEST(Sbom, CycloneDxHasWhatTheSpecificationRequires) { expect_valid_cyclonedx(cyclonedx(sample())); }

TEST(Sbom, EveryLockGivesAValidDocument) {
  for (std::uint32_t seed = 0; seed < 100; ++seed) {
    const LockFile lock = testing::RandomLock(seed).make();
    expect_valid_spdx(spdx(lock));
    expect_valid_cyclonedx(cyclonedx(lock));
  }
}

TEST(Sbom, NamesEveryPackageOfBaseAndClosureOnce) {
  for (const Json& list : {spdx(sample()).at("packages"), cyclonedx(sample()).at("components")}) {
    std::multiset<std::string> names;
    for (const Json& item : list) names.insert(item.at("name"));
    names.erase("debian/12");
    names.erase("karapace-" + sample().short_id);
    EXPECT_EQ(names, (std::multiset<std::string>{"a+b", "a-b", "a-b", "git", "libc6", "libstdc++6"}));
  }
}

TEST(Sbom, APackageHasVersionHashSourceAndPackageUrl) {
  const Json of_spdx = find(spdx(sample()).at("packages"), "libstdc++6");
  const std::string sha256 = hash_bytes("libstdc++612.2.0-14+deb12u1amd64").hex();
  const std::string purl = "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1?arch=amd64";
  const std::string url =
      "http://deb.debian.org/debian/pool/main/libstdc%2B%2B6_12.2.0-14%2Bdeb12u1_amd64.deb";
  EXPECT_EQ(of_spdx.at("versionInfo"), "12.2.0-14+deb12u1");
  EXPECT_EQ(of_spdx.at("downloadLocation"), url);
  EXPECT_EQ(of_spdx.at("checksums")[0], (Json{{"algorithm", "SHA256"}, {"checksumValue", sha256}}));
  EXPECT_EQ(of_spdx.at("externalRefs")[0].at("referenceLocator"), purl);
  const Json of_cyclonedx = find(cyclonedx(sample()).at("components"), "libstdc++6");
  EXPECT_EQ(of_cyclonedx.at("version"), "12.2.0-14+deb12u1");
  EXPECT_EQ(of_cyclonedx.at("hashes")[0], (Json{{"alg", "SHA-256"}, {"content", sha256}}));
  EXPECT_EQ(of_cyclonedx.at("purl"), purl);
  EXPECT_EQ(of_cyclonedx.at("externalReferences")[0].at("url"), url);
}

TEST(Sbom, PackageUrlsFollowTheirManager) {
  LockFile lock = sample();
  EXPECT_EQ(package_url(lock.resolved_packages.back(), lock), "pkg:deb/debian/git@1:2.39~rc?arch=amd64");
  LockedPackage rpm = package("bash", "1:5.2-1.fc41", "x86_64");
  rpm.path = "b/bash.rpm";
  lock.base.distribution = "fedora/41";
  EXPECT_EQ(package_url(rpm, lock), "pkg:rpm/fedora/bash@5.2-1.fc41?arch=x86_64&epoch=1");
  LockedPackage arch = package("bash", "5.2-1", "x86_64");
  arch.path = "core/bash-5.2-1-x86_64.pkg.tar.zst";
  lock.base.distribution = "";
  EXPECT_EQ(package_url(arch, lock), "pkg:alpm/arch/bash@5.2-1?arch=x86_64");
}

TEST(Sbom, AForeignArchivesPackageIsNotDebians) {
  LockFile lock = sample();
  LockedPackage foreign = package("docker-ce", "5:24.0", "amd64");
  foreign.repository = "debian-2";
  const auto url_in = [&](const std::string& url, const std::string& component) {
    lock.repositories.push_back({"debian-2", url, "bookworm", {component}});
    const std::string found = package_url(foreign, lock);
    lock.repositories.pop_back();
    return found;
  };
  const std::string debian = "pkg:deb/debian/docker-ce@5:24.0?arch=amd64";
  EXPECT_EQ(url_in("http://deb.debian.org/debian-security/", "updates/main"), debian);
  EXPECT_EQ(url_in("http://mirror.example:8080/pub/debian", "main"), debian);
  const std::string generic = "pkg:deb/generic/docker-ce@5:24.0?arch=amd64&repository_url=";
  EXPECT_EQ(url_in("https://download.docker.com/linux/debian", "stable"),
            generic + "https://download.docker.com/linux/debian");
  EXPECT_EQ(url_in("https://notdebian.org/apt", "main"), generic + "https://notdebian.org/apt");
}

TEST(Sbom, TheSameLockGivesTheSameBytesAndAnotherOneAnotherDocument) {
  LockFile mirror = sample();
  mirror.repositories[0].url = "http://mirror.example/debian";
  for (const SbomFormat format : {SbomFormat::Spdx, SbomFormat::CycloneDx}) {
    const std::string text = make_sbom(sample(), format, kCreated);
    EXPECT_EQ(make_sbom(sample(), format, kCreated), text);
    EXPECT_EQ(make_sbom(parse_lock(serialize_lock(sample()), "x"), format, kCreated), text);
    EXPECT_NE(make_sbom(mirror, format, kCreated), text);
  }
  EXPECT_NE(spdx(mirror).at("documentNamespace"), spdx(sample()).at("documentNamespace"));
  EXPECT_NE(cyclonedx(mirror).at("serialNumber"), cyclonedx(sample()).at("serialNumber"));
}

TEST(Sbom, FilesOfAnImageArePartsOfTheBase) {
  LockFile lock = sample();
  lock.base = {};
  lock.base.provider = BaseProvider::Oci;
  lock.base.sha256 = std::string(64, '1');
  lock.base.files = {{"layer", "https://example.org/a", std::string(64, '2'), 5}};
  seal_identity(lock);
  expect_valid_spdx(spdx(lock));
  expect_valid_cyclonedx(cyclonedx(lock));
  const Json base = find(cyclonedx(lock).at("components"), "debian/12");
  EXPECT_EQ(base.at("hashes")[0].at("content"), std::string(64, '1'));
  EXPECT_EQ(find(cyclonedx(lock).at("components"), "layer 1").at("type"), "file");
}

}  // namespace
}  // namespace karapace
