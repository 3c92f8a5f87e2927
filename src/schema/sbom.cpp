// SPDX-License-Identifier: Apache-2.0
// Neither form may contain anything that is not in the lock: no clock, nothing random, no version of this
// program. What the formats want to be unique is made from the lock's checksum.
#include "karapace/schema/sbom.hpp"

#include <fmt/format.h>

#include <functional>

#include <algorithm>

#include "karapace/base/digest.hpp"
#include "karapace/base/json.hpp"
#include "lock_text.hpp"
#include "sbom_parts.hpp"

namespace karapace {
namespace {

constexpr std::string_view kNoAssertion = "NOASSERTION";
constexpr std::string_view kTool = "karapace";

std::string id_of(std::string_view kind, const LockedPackage& package) {
  std::string id = fmt::format("{}-{}-{}", kind, package.name, package.arch);
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
  };
  std::ranges::replace_if(id, std::not_fn(allowed), '-');
  // "a+b" and "a-b" are two packages.
  const std::string all = fmt::format("{}\n{}\n{}", package.name, package.version, package.arch);
  return fmt::format("{}-{}", id, hash_bytes(all).hex().substr(0, 16));
}

std::string url_of(const LockedPackage& package, const LockFile& lock) {
  const auto repository = std::ranges::find(lock.repositories, package.repository, &Repository::name);
  if (package.path.empty() || repository == lock.repositories.end()) return {};
  return fmt::format("{}/{}", repository->url, percent_encode(package.path, "/"));
}

std::vector<SbomPart> parts_of(std::string_view kind, const std::vector<LockedPackage>& packages,
                               const LockFile& lock) {
  std::vector<SbomPart> parts;
  for (const LockedPackage& package : packages) {
    SbomPart& part = parts.emplace_back();
    part.id = id_of(kind, package);
    part.name = package.name;
    part.version = package.version;
    part.purl = package_url(package, lock);
    part.url = url_of(package, lock);
    part.sha256 = package.sha256;
  }
  return parts;
}

// SPDX 2.3

Json spdx_package(const std::string& id, const std::string& name, const std::string& version,
                  const std::string& url, std::string_view purpose) {
  Json package = {{"SPDXID", "SPDXRef-" + id},
                  {"name", name},
                  {"downloadLocation", url.empty() ? std::string(kNoAssertion) : url},
                  {"filesAnalyzed", false},
                  {"copyrightText", kNoAssertion},
                  {"licenseConcluded", kNoAssertion},
                  {"licenseDeclared", kNoAssertion},
                  {"primaryPackagePurpose", purpose}};
  if (!version.empty()) package["versionInfo"] = version;
  return package;
}

Json spdx_checksum(std::string_view algorithm, std::string_view value) {
  return {{"algorithm", algorithm}, {"checksumValue", value}};
}

Json spdx_part(const SbomPart& part) {
  Json package = spdx_package(part.id, part.name, part.version, part.url, part.is_file ? "FILE" : "LIBRARY");
  package["checksums"] = Json::array({spdx_checksum("SHA256", part.sha256)});
  if (!part.purl.empty()) {
    package["externalRefs"] = Json::array({{{"referenceCategory", "PACKAGE-MANAGER"},
                                            {"referenceType", "purl"},
                                            {"referenceLocator", part.purl}}});
  }
  return package;
}

Json spdx_relation(std::string_view from, std::string_view type, std::string_view to) {
  return {{"spdxElementId", fmt::format("SPDXRef-{}", from)},
          {"relationshipType", type},
          {"relatedSpdxElement", fmt::format("SPDXRef-{}", to)}};
}

Json spdx(const LockFile& lock, const SbomParts& parts, std::string_view created) {
  Json base =
      spdx_package(parts.base_id, parts.base_name, parts.base_version, parts.base_url, "OPERATING-SYSTEM");
  base["checksums"] = Json::array();
  if (!parts.base_sha256.empty()) base["checksums"].push_back(spdx_checksum("SHA256", parts.base_sha256));
  base["checksums"].push_back(spdx_checksum("BLAKE3", lock.base_image_digest));
  Json packages = {spdx_package(parts.environment_id, parts.environment_name, lock.env_id, "", "CONTAINER"),
                   base};
  Json relations = {spdx_relation("DOCUMENT", "DESCRIBES", parts.environment_id),
                    spdx_relation(parts.environment_id, "CONTAINS", parts.base_id)};
  const auto add = [&](const std::vector<SbomPart>& list, const std::string& owner) {
    for (const SbomPart& part : list) {
      packages.push_back(spdx_part(part));
      relations.push_back(spdx_relation(owner, "CONTAINS", part.id));
    }
  };
  add(parts.base, parts.base_id);
  add(parts.packages, parts.environment_id);
  return {{"spdxVersion", "SPDX-2.3"},
          {"dataLicense", "CC0-1.0"},
          {"SPDXID", "SPDXRef-DOCUMENT"},
          {"name", parts.environment_name},
          {"documentNamespace",
           fmt::format("https://spdx.org/spdxdocs/{}-{}", parts.environment_name, lock_checksum(lock))},
          {"creationInfo", {{"created", created}, {"creators", {fmt::format("Tool: {}", kTool)}}}},
          {"packages", std::move(packages)},
          {"relationships", std::move(relations)}};
}

// CycloneDX 1.5

Json cyclonedx_part(const SbomPart& part) {
  Json component = {{"type", part.is_file ? "file" : "library"},
                    {"bom-ref", part.id},
                    {"name", part.name},
                    {"hashes", Json::array({{{"alg", "SHA-256"}, {"content", part.sha256}}})}};
  if (!part.version.empty()) component["version"] = part.version;
  if (!part.purl.empty()) component["purl"] = part.purl;
  if (!part.url.empty())
    component["externalReferences"] = Json::array({{{"type", "distribution"}, {"url", part.url}}});
  return component;
}

Json cyclonedx_base(const LockFile& lock, const SbomParts& parts) {
  Json base = {{"type", "operating-system"}, {"bom-ref", parts.base_id}, {"name", parts.base_name}};
  if (!parts.base_version.empty()) base["version"] = parts.base_version;
  base["hashes"] = Json::array();
  if (!parts.base_sha256.empty())
    base["hashes"].push_back({{"alg", "SHA-256"}, {"content", parts.base_sha256}});
  base["hashes"].push_back({{"alg", "BLAKE3"}, {"content", lock.base_image_digest}});
  if (!parts.base_url.empty())
    base["externalReferences"] = Json::array({{{"type", "distribution"}, {"url", parts.base_url}}});
  return base;
}

/// A UUID of version 8 (RFC 9562: made by the application) from a digest.
std::string uuid_of(const std::string& hex) {
  std::string digits = hex.substr(0, 32);
  digits[12] = '8';
  digits[16] = '8';
  return fmt::format("{}-{}-{}-{}-{}", digits.substr(0, 8), digits.substr(8, 4), digits.substr(12, 4),
                     digits.substr(16, 4), digits.substr(20));
}

Json cyclonedx(const LockFile& lock, const SbomParts& parts, std::string_view created) {
  Json components = Json::array({cyclonedx_base(lock, parts)});
  Json of_base = Json::array();
  Json of_environment = Json::array({parts.base_id});
  const auto add = [&](const std::vector<SbomPart>& list, Json& owner) {
    for (const SbomPart& part : list) {
      components.push_back(cyclonedx_part(part));
      owner.push_back(part.id);
    }
  };
  add(parts.base, of_base);
  add(parts.packages, of_environment);
  const Json itself = {{"type", "container"},
                       {"bom-ref", parts.environment_id},
                       {"name", parts.environment_name},
                       {"version", lock.env_id}};
  const Json tool = {{"type", "application"}, {"name", kTool}};
  return {
      {"bomFormat", "CycloneDX"},
      {"specVersion", "1.5"},
      {"serialNumber", fmt::format("urn:uuid:{}", uuid_of(lock_checksum(lock)))},
      {"version", 1},
      {"metadata",
       {{"timestamp", created}, {"tools", {{"components", Json::array({tool})}}}, {"component", itself}}},
      {"components", std::move(components)},
      {"dependencies", Json::array({{{"ref", parts.environment_id}, {"dependsOn", std::move(of_environment)}},
                                    {{"ref", parts.base_id}, {"dependsOn", std::move(of_base)}}})}};
}

}  // namespace

SbomParts sbom_parts(const LockFile& lock) {
  SbomParts parts;
  parts.environment_name = fmt::format("karapace-{}", lock.short_id);
  parts.base_name = lock.base_image;
  parts.base_version = lock.base.version.empty() ? lock.base.distribution : lock.base.version;
  parts.base_url = lock.base.provider == BaseProvider::Tar ? lock.base.url : "";
  parts.base_sha256 = lock.base.sha256;
  parts.base = parts_of("BasePackage", lock.base.packages, lock);
  for (const LockedFile& file : lock.base.files) {
    SbomPart& part = parts.base.emplace_back();
    part.id = fmt::format("BaseFile-{}", parts.base.size());
    part.name = fmt::format("{} {}", file.role, parts.base.size());
    part.url = file.url;
    part.sha256 = file.sha256;
    part.is_file = true;
  }
  parts.packages = parts_of("Package", lock.resolved_packages, lock);
  return parts;
}

SbomFormat parse_sbom_format(std::string_view name) {
  if (name == "spdx") return SbomFormat::Spdx;
  if (name == "cyclonedx") return SbomFormat::CycloneDx;
  throw Error(ErrorCode::InvalidInput, fmt::format("there is no format '{}'", printable(name)),
              "choose spdx or cyclonedx");
}

std::string make_sbom(const LockFile& lock, SbomFormat format, std::string_view created) {
  const SbomParts parts = sbom_parts(lock);
  const Json document =
      format == SbomFormat::Spdx ? spdx(lock, parts, created) : cyclonedx(lock, parts, created);
  return pretty_json(OrderedJson(document)) + "\n";
}

}  // namespace karapace
