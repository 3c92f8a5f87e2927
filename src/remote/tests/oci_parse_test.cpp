// SPDX-License-Identifier: Apache-2.0
// Names of images, their documents, and who asks for them: text in, values out.
#include <gtest/gtest.h>

#include <functional>

#include "karapace/base/error.hpp"
#include "karapace/remote/oci_credentials.hpp"
#include "karapace/remote/oci_documents.hpp"
#include "karapace/remote/oci_reference.hpp"
#include "oci/base64.hpp"
#include "oci/challenge.hpp"

namespace karapace::remote::oci {

namespace {

const std::string kA(64, 'a');
const std::string kB(64, 'b');

std::string refusal(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidInput) << error.what();
    return error.what();
  }
  return "(accepted)";
}

#define EXPECT_CONTAINS(text, part) EXPECT_NE(std::string(text).find(part), std::string::npos) << (text)

TEST(OciReference, NamesAreReadAsDockerAndPodmanReadThem) {
  struct Case {
    const char* text;
    const char* full;
    const char* api;
  };
  const std::string digest = "@sha256:" + kA;
  const Case cases[] = {
      {"oci:debian", "docker.io/library/debian:latest", "https://registry-1.docker.io/v2/library/debian"},
      {"oci:debian:12", "docker.io/library/debian:12", "https://registry-1.docker.io/v2/library/debian"},
      {"oci://team/tool:1", "docker.io/team/tool:1", "https://registry-1.docker.io/v2/team/tool"},
      {"docker://index.docker.io/a/b", "docker.io/a/b:latest", "https://registry-1.docker.io/v2/a/b"},
      {"oci:ghcr.io/a/b-c/d__e.f:V1.2-x", "ghcr.io/a/b-c/d__e.f:V1.2-x", "https://ghcr.io/v2/a/b-c/d__e.f"},
      {"oci:Registry.Example:5000/x:y", "registry.example:5000/x:y", "https://registry.example:5000/v2/x"},
      {"oci:localhost/x", "localhost/x:latest", "http://localhost/v2/x"},
      {"oci://127.0.0.1:5000/x", "127.0.0.1:5000/x:latest", "http://127.0.0.1:5000/v2/x"},
      {"oci:[::1]:5000/x:y", "[::1]:5000/x:y", "http://[::1]:5000/v2/x"},
      {"oci+https:localhost:5000/x", "localhost:5000/x:latest", "https://localhost:5000/v2/x"},
      {"oci+http://far.example/x", "far.example/x:latest", "http://far.example/v2/x"},
      {"oci:127.0.0.1.example/x", "127.0.0.1.example/x:latest", "https://127.0.0.1.example/v2/x"},
  };
  for (const Case& c : cases) {
    const Reference reference = parse_reference(c.text);
    EXPECT_EQ(reference.str(), c.full);
    EXPECT_EQ(reference.api_url(), c.api);
  }
  const Reference pinned = parse_reference("oci:ghcr.io/a/b:1" + digest);
  EXPECT_EQ(pinned.str(), "ghcr.io/a/b" + digest);
  EXPECT_EQ(pinned.target(), "sha256:" + kA);
  EXPECT_EQ(pinned.tag, "1");
}

TEST(OciReference, WhatIsNoNameIsRefusedWithItsText) {
  for (const char* text : {"oci:",
                           "oci://",
                           "oci:/x",
                           "oci:x:",
                           "oci:x@",
                           "oci:x@sha256:12",
                           "oci:x@sha512:00",
                           "oci:ghcr.io/",
                           "oci:ghcr.io/../x",
                           "oci:ghcr.io/a//b",
                           "oci:ghcr.io/A",
                           "oci:ghcr.io/a..b",
                           "oci:ghcr.io/a_",
                           "oci:x:a/b",
                           "oci:ghcr.io:0/x",
                           "oci:ghcr.io:99999/x",
                           "oci:ghcr.io:5000x/x",
                           "oci:user@ghcr.io/x",
                           "oci:[::1/x",
                           "oci:gh cr.io/x",
                           "oci:x?y",
                           "oci:x:t ag",
                           "oci:x:.tag",
                           "oci:.example.com/x",
                           "oci:[zz]/x",
                           "debian/12",
                           "oci:ghcr.io/a\n",
                           "oci:x%2fy",
                           "oci:H/x"}) {
    EXPECT_CONTAINS(refusal([&] { static_cast<void>(parse_reference(text)); }), "image '") << text;
  }
  EXPECT_CONTAINS(refusal([&] { static_cast<void>(parse_reference("oci:x/" + std::string(300, 'a'))); }),
                  "image '");
  EXPECT_CONTAINS(refusal([&] { static_cast<void>(parse_reference("oci:x:" + std::string(129, 'a'))); }),
                  "image '");
}

std::string descriptor(const std::string& type, const std::string& sha256, const std::string& more = {}) {
  return R"({"mediaType":")" + type + R"(","digest":"sha256:)" + sha256 + R"(","size":7)" + more + "}";
}
const std::string kConfig = descriptor("application/vnd.oci.image.config.v1+json", kA);
const std::string kLayer = descriptor("application/vnd.oci.image.layer.v1.tar+gzip", kB);

std::string manifest(const std::string& more) { return R"({"schemaVersion":2,)" + more + "}"; }
std::string image_manifest(const std::string& layers) {
  return manifest(R"("config":)" + kConfig + R"(,"layers":[)" + layers + "]");
}
std::string platform(const std::string& os, const std::string& arch, const std::string& variant = {}) {
  return R"(,"platform":{"os":")" + os + R"(","architecture":")" + arch + "\"" +
         (variant.empty() ? "" : R"(,"variant":")" + variant + "\"") + "}";
}
const std::string kManifestType = "application/vnd.oci.image.manifest.v1+json";

TEST(OciDocuments, ManifestsOfOciAndDockerAreRead) {
  const auto oci = std::get<ImageManifest>(parse_document(image_manifest(kLayer + "," + kLayer), "", "x"));
  EXPECT_EQ(oci.config.sha256, kA);
  ASSERT_EQ(oci.layers.size(), 2U);
  EXPECT_EQ(oci.layers[0].sha256, kB);
  EXPECT_EQ(oci.layers[0].size, 7U);
  const std::string docker_type = "application/vnd.docker.distribution.manifest.v2+json";
  const auto docker = std::get<ImageManifest>(parse_document(
      manifest(
          R"("mediaType":")" + docker_type + R"(","config":)" +
          descriptor("application/vnd.docker.container.image.v1+json", kA) + R"(,"layers":[)" +
          descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", kB, R"(,"urls":["http://evil/"])") +
          "]"),
      docker_type, "x"));
  EXPECT_EQ(docker.layers.size(), 1U);
  const auto index = std::get<Index>(parse_document(
      manifest(R"("manifests":[)" + descriptor(kManifestType, kA, platform("linux", "amd64")) + "]"), "",
      "x"));
  EXPECT_EQ(index.manifests.at(0).platform->architecture, "amd64");
}

TEST(OciDocuments, WhatIsAmbiguousOrTooMuchIsRefused) {
  std::string many = "\"layers\":[" + kLayer;
  for (std::size_t i = 0; i < kMaxLayers; ++i) many += "," + kLayer;
  const std::pair<std::string, const char*> cases[] = {
      {"", "the document"},
      {"[]", "not a JSON object"},
      {"{}", "schemaVersion is not 2"},
      {R"({"schemaVersion":1,"fsLayers":[]})", "format of 2014"},
      {manifest(R"("layers":[],"manifests":[],"config":{})"), "both \"manifests\" and \"layers\""},
      {manifest(R"("config":)" + kConfig + ",\"layers\":[]"), "no layers"},
      {manifest(R"("config":)" + kConfig + "," + many + "]"), "more than 500"},
      {manifest(R"("layers":[])"), "no \"config\""},
      {manifest(R"("mediaType":"text/html","layers":[])"), "it is a 'text/html'"},
      {manifest(R"("mediaType":5,"layers":[])"), "\"mediaType\" is not a string"},
      {manifest(R"("config":)" + descriptor("application/vnd.example.chart", kA) + ",\"layers\":[]"),
       "it is no image"},
      {image_manifest(descriptor("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", kB)),
       "no file system"},
      {image_manifest(descriptor("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", kB)), "encrypted"},
      {image_manifest(
           R"({"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha512:00","size":1})"),
       "not a sha256 digest"},
      {image_manifest(R"({"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:)" + kA +
                      "\"}"),
       "has no size"},
      {image_manifest(R"({"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:)" + kA +
                      R"(","size":-1})"),
       "has no size"},
      {image_manifest(R"({"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:)" + kA +
                      R"(","size":99999999999999})"),
       "more than"},
      {R"({"schemaVersion":2,"schemaVersion":2,"manifests":[]})", "the document"},
      {std::string(100, '[') + std::string(100, ']'), "the document"},
  };
  for (const auto& [text, message] : cases) {
    const std::string result =
        refusal([&, &body = text] { static_cast<void>(parse_document(body, "", "the image")); });
    EXPECT_CONTAINS(result, message);
    EXPECT_TRUE(result.starts_with("the image: ")) << result;
  }
  const std::string index_type = "application/vnd.oci.image.index.v1+json";
  EXPECT_CONTAINS(
      refusal([&] {
        static_cast<void>(parse_document(
            manifest(R"("mediaType":")" + kManifestType + R"(","config":{},"layers":[])"), index_type, "x"));
      }),
      "calls itself");
}

TEST(OciDocuments, PlatformIsChosenByArchitectureAndLowestVariant) {
  const auto parse = [](const std::string& entries) {
    return std::get<Index>(parse_document(manifest(R"("manifests":[)" + entries + "]"), "", "x"));
  };
  const auto entry = [](char digest, const std::string& where) {
    return descriptor(kManifestType, std::string(64, digest), where);
  };
  const Index index = parse(
      entry('0', platform("unknown", "unknown")) + "," + entry('1', platform("linux", "arm", "v7")) + "," +
      entry('2', platform("linux", "amd64", "v3")) + "," + entry('3', platform("linux", "amd64")) + "," +
      entry('4', platform("linux", "amd64", "v1")) + "," + entry('5', platform("windows", "amd64")) + "," +
      entry('6', platform("linux", "arm64", "v9")) + "," + entry('7', platform("linux", "arm64", "v8")));
  EXPECT_EQ(choose_platform(index, "amd64", "x").sha256, std::string(64, '3'));
  EXPECT_EQ(choose_platform(index, "arm64", "x").sha256, std::string(64, '7'));
  EXPECT_CONTAINS(refusal([&] { static_cast<void>(choose_platform(index, "riscv64", "img")); }),
                  "img: it has no image for linux/riscv64, only for linux/arm/v7, linux/amd64/v3");
  EXPECT_EQ(choose_platform(parse(entry('8', "")), "amd64", "x").sha256, std::string(64, '8'));
  EXPECT_CONTAINS(
      refusal([&] {
        static_cast<void>(choose_platform(parse(entry('8', "") + "," + entry('9', "")), "amd64", "x"));
      }),
      "no image for linux/amd64");
}

TEST(OciDocuments, ConfigurationMustFitItsManifest) {
  const auto image = std::get<ImageManifest>(parse_document(image_manifest(kLayer), "", "x"));
  const Platform found = parse_config(
      R"({"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["sha256:x"]}})", image,
      "x");
  EXPECT_EQ(found, (Platform{"linux", "amd64", ""}));
  EXPECT_NO_THROW(require_platform(found, "amd64", "x"));
  EXPECT_CONTAINS(refusal([&] { require_platform(found, "arm64", "x"); }),
                  "it is for linux/amd64, this machine");
  EXPECT_CONTAINS(
      refusal([&] { static_cast<void>(parse_config(R"({"rootfs":{"diff_ids":[]}})", image, "x")); }),
      "1 layers and its configuration 0");
  EXPECT_CONTAINS(refusal([&] { static_cast<void>(parse_config("{}", image, "x")); }), "no \"rootfs\"");
}

TEST(OciCredentials, TheLongestEntryThatCoversTheNameCounts) {
  const auto auth = [](const std::string& user) {
    return R"({"auth":")" + encode_base64(user + ":s3:cret") + "\"}";
  };
  const std::string file = R"({"auths":{"ghcr.io":)" + auth("host") + R"(,"ghcr.io/a":)" + auth("namespace") +
                           R"(,"ghcr.io/a/b":)" + auth("repository") + R"(,"https://index.docker.io/v1/":)" +
                           auth("hub") + R"(,"https://quay.io":)" + auth("quay") + R"(,"empty.example":{}}})";
  const auto user_of = [&](const char* image) {
    const auto search = find_in_auth_file(file, parse_reference(image), "auth.json");
    return search.found ? search.found->user : "(none)";
  };
  EXPECT_EQ(user_of("oci:ghcr.io/x"), "host");
  EXPECT_EQ(user_of("oci:ghcr.io/a/x"), "namespace");
  EXPECT_EQ(user_of("oci:ghcr.io/a/b"), "repository");
  EXPECT_EQ(user_of("oci:ghcr.io/a/b/c"), "repository");
  EXPECT_EQ(user_of("oci:ghcr.io/ab"), "host");
  EXPECT_EQ(user_of("oci:debian"), "hub");
  EXPECT_EQ(user_of("oci:quay.io/x/y"), "quay");
  EXPECT_EQ(user_of("oci:ghcr.io.example/x"), "(none)");
  EXPECT_EQ(user_of("oci:ghcr.io:444/x"), "(none)");
  EXPECT_EQ(user_of("oci:empty.example/x"), "(none)");
  EXPECT_EQ(find_in_auth_file(file, parse_reference("oci:ghcr.io/x"), "f").found->password, "s3:cret");
}

TEST(OciCredentials, HelpersAreNamedAndNotStarted) {
  const auto search = find_in_auth_file(R"({"credHelpers":{"ghcr.io":"gh"},"credsStore":"desktop"})",
                                        parse_reference("oci:ghcr.io/x"), "f");
  EXPECT_FALSE(search.found);
  EXPECT_EQ(search.helper, "gh");
  EXPECT_EQ(find_in_auth_file(R"({"credsStore":"desktop"})", parse_reference("oci:x"), "f").helper,
            "desktop");
}

TEST(OciCredentials, DamagedFilesAreNamed) {
  const Reference reference = parse_reference("oci:ghcr.io/x");
  for (const char* text :
       {"", "{", R"({"auths":{"ghcr.io":{"auth":"!!!"}}})", R"({"auths":{"ghcr.io":{"auth":"YWJj"}}})",
        R"({"auths":{"ghcr.io":{"username":"a\nb","password":"c"}}})"}) {
    EXPECT_CONTAINS(refusal([&] { static_cast<void>(find_in_auth_file(text, reference, "the file")); }),
                    "the file");
  }
  EXPECT_FALSE(find_in_auth_file("[]", reference, "f").found);
  EXPECT_FALSE(find_in_auth_file(R"({"auths":[]})", reference, "f").found);
}

TEST(OciChallenge, SchemesAndParametersAreRead) {
  const auto found = parse_challenges(
      R"(Bearer realm="https://auth.example/t?x=\"1\"",service="reg, istry",scope="repository:a/b:pull", Basic realm=simple)");
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].scheme, "bearer");
  EXPECT_EQ(found[0].get("realm"), "https://auth.example/t?x=\"1\"");
  EXPECT_EQ(found[0].get("service"), "reg, istry");
  EXPECT_EQ(found[0].get("scope"), "repository:a/b:pull");
  EXPECT_EQ(found[1].scheme, "basic");
  EXPECT_EQ(found[1].get("realm"), "simple");
  EXPECT_EQ(parse_challenges("NTLM, Basic").size(), 2U);
  EXPECT_EQ(parse_challenges("Bearer realm=\"unended").size(), 0U);
  EXPECT_EQ(parse_challenges("\"").size(), 0U);
  EXPECT_EQ(percent_encoded("a b/c:é"), "a%20b%2Fc%3A%C3%A9");
}

TEST(Base64, RoundTripsAndRefusesGarbage) {
  for (const char* text : {"", "a", "ab", "abc", "user:p\xff\x01"})
    EXPECT_EQ(decode_base64(encode_base64(text)), text);
  EXPECT_EQ(encode_base64("any carnal pleas"), "YW55IGNhcm5hbCBwbGVhcw==");
  EXPECT_FALSE(decode_base64("a"));
  EXPECT_FALSE(decode_base64("ab c"));
}

}  // namespace

}  // namespace karapace::remote::oci
