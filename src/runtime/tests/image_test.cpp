// SPDX-License-Identifier: Apache-2.0
#include "karapace/runtime/image.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "karapace/base/error.hpp"

namespace karapace::runtime {
namespace {

std::string failure(std::string_view image, const std::string& directory = "/") {
  try {
    static_cast<void>(parse_image(image, directory));
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidInput);
    return error.message() + " | " + error.fix();
  }
  return {};
}

TEST(Image, EveryNameOfDebianStableMeansTheSameSuite) {
  for (const char* name : {"debian", "debian/12", "debian/bookworm", " Debian/12 "}) {
    const ImageReference image = parse_image(name, "/");
    EXPECT_EQ(image.provider, BaseProvider::Bootstrap);
    EXPECT_EQ(image.canonical, "debian/bookworm");
    ASSERT_EQ(image.apt_sources.size(), 3U);
    EXPECT_EQ(image.apt_sources[1].suite, "bookworm-updates");
    EXPECT_EQ(image.apt_sources[2].name, "debian-security");
    EXPECT_EQ(image.apt_sources[2].suite, "bookworm-security");
  }
  EXPECT_EQ(parse_image("debian/13", "/").canonical, "debian/trixie");
}

TEST(Image, UnstableHasNeitherUpdatesNorSecurity) {
  const ImageReference image = parse_image("debian/sid", "/");
  ASSERT_EQ(image.apt_sources.size(), 1U);
  EXPECT_EQ(image.apt_sources[0].suite, "sid");
}

TEST(Image, OtherDistributionsComeFromTheImageServer) {
  const std::pair<const char*, const char*> cases[] = {
      {"rolling", "opensuse/tumbleweed"},
      {"leap", "opensuse/15.6"},
      {"Ubuntu/24.04", "ubuntu/noble"},
      {"ubuntu/jammy", "ubuntu/jammy"},
      {"fedora", "fedora/41"},
      {"arch", "archlinux/current"},
      {"images:debian/12", "debian/12"},
      {"images:Alpine/3.20/Cloud", "alpine/3.20/cloud"},
      {"images:archlinux", "archlinux"},
  };
  for (const auto& [name, canonical] : cases) {
    const ImageReference image = parse_image(name, "/");
    EXPECT_EQ(image.provider, BaseProvider::Lxc) << name;
    EXPECT_EQ(image.canonical, canonical);
    EXPECT_EQ(image.url, "https://images.linuxcontainers.org");
    EXPECT_TRUE(image.is_remote());
  }
  for (const char* name : {"images:", "images:/x", "images:x/", "images:a//b", "images:a/b/c/d", "images:a b",
                           "images:../x?y", "images:a%2fb"}) {
    EXPECT_TRUE(failure(name).contains("not the name of an image")) << name;
  }
}

TEST(Image, RegistriesAndLayoutsAreToldApart) {
  for (const char* name :
       {"oci:debian", "oci://ghcr.io/a/b:1", "docker://x", "oci+http://h/x", "oci+https:h/x"}) {
    const ImageReference image = parse_image(name, "/");
    EXPECT_EQ(image.provider, BaseProvider::Oci) << name;
    EXPECT_EQ(image.reference, name);
    EXPECT_TRUE(image.is_remote());
  }
  const std::filesystem::path root = std::filesystem::path(::testing::TempDir()) / "karapace-layout-test";
  std::filesystem::create_directories(root / "layout");
  std::filesystem::create_directories(root / "od:d");
  for (const char* name : {"layout/oci-layout", "layout/index.json", "image.tar"})
    std::ofstream(root / name) << "{}";
  const ImageReference tagged = parse_image("oci-layout:./layout:v1", root);
  EXPECT_EQ(tagged.provider, BaseProvider::Oci);
  EXPECT_EQ(tagged.path, (root / "layout").string());
  EXPECT_EQ(tagged.tag, "v1");
  EXPECT_FALSE(tagged.is_remote());
  EXPECT_EQ(parse_image("oci-layout:od:d", root).tag, "");
  EXPECT_EQ(parse_image("oci-archive:image.tar:v2", root).tag, "v2");
  EXPECT_EQ(parse_image("rootfs:./layout", root).provider, BaseProvider::Oci);
  EXPECT_EQ(parse_image("rootfs:./od:d", root).provider, BaseProvider::Dir);
  EXPECT_TRUE(failure("oci-layout:./missing:v1", root).contains("missing does not exist"));
  EXPECT_TRUE(failure("oci-layout:", root).contains("names no path"));
  std::filesystem::remove_all(root);
}

TEST(Image, UnknownNameSuggestsTheNearest) {
  EXPECT_TRUE(failure("debain/12").contains("'debian/12'"));
  EXPECT_TRUE(failure("windows").contains("unknown image 'windows'"));
  EXPECT_TRUE(failure("bad\nname").contains("\\x0a"));
}

TEST(Image, UrlNeedsAChecksumAndKeepsItsCase) {
  const std::string sum(64, 'a');
  for (const char* mark : {"#sha256=", "?sha256=", " sha256="}) {
    const ImageReference image =
        parse_image("https://Example.org/Root.tar.xz" + std::string(mark) + sum, "/");
    EXPECT_EQ(image.provider, BaseProvider::Tar);
    EXPECT_EQ(image.url, "https://Example.org/Root.tar.xz");
    EXPECT_EQ(image.sha256, sum);
  }
  EXPECT_TRUE(failure("https://example.org/root.tar.xz").contains("without a checksum"));
  EXPECT_TRUE(failure("https://example.org/root.tar.xz#sha256=abc").contains("64 hexadecimal digits"));
}

TEST(Image, LocalPathsAreRelativeToTheManifestAndMustExist) {
  const std::filesystem::path root = std::filesystem::path(::testing::TempDir()) / "karapace-image-test";
  std::filesystem::create_directories(root / "tree");
  std::ofstream(root / "x.tar.xz") << "x";
  EXPECT_EQ(parse_image("rootfs:./x.tar.xz", root).path, (root / "x.tar.xz").string());
  EXPECT_EQ(parse_image("./x.tar.xz", root).provider, BaseProvider::Tar);
  EXPECT_EQ(parse_image("rootfs:tree", root).provider, BaseProvider::Dir);
  EXPECT_TRUE(failure("rootfs:./missing.tar", root).contains("missing.tar does not exist"));
  std::filesystem::remove_all(root);
}

TEST(Image, EveryAliasParses) {
  for (const std::string& name : image_aliases())
    EXPECT_FALSE(parse_image(name, "/").canonical.empty()) << name;
}

}  // namespace
}  // namespace karapace::runtime
