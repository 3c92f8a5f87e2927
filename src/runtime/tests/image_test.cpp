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

TEST(Image, KnownButUnavailableSaysSoAndOffersATarball) {
  for (const char* name : {"rolling", "ubuntu/24.04", "fedora/41", "arch", "leap"}) {
    const std::string text = failure(name);
    EXPECT_TRUE(text.contains("Linux Containers image server")) << text;
    EXPECT_TRUE(text.contains("rootfs:./file.tar.xz")) << text;
  }
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

TEST(Image, ListOfAliasesParsesOrExplains) {
  for (const std::string& name : image_aliases()) {
    try {
      EXPECT_FALSE(parse_image(name, "/").canonical.empty());
    } catch (const Error& error) {
      EXPECT_FALSE(error.fix().empty()) << name;
    }
  }
}

}  // namespace
}  // namespace karapace::runtime
