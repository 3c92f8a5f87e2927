// SPDX-License-Identifier: Apache-2.0
#include "karapace/schema/preset.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "karapace/schema/manifest.hpp"

namespace karapace {
namespace {

std::vector<std::string> names_of(const std::vector<Preset>& list) {
  std::vector<std::string> names;
  for (const Preset& preset : list) names.emplace_back(preset.name);
  return names;
}

TEST(Preset, NamesAreStable) {
  EXPECT_EQ(names_of(presets()),
            (std::vector<std::string>{"dev", "dev-rust", "dev-python", "gui-app", "gaming", "minimal"}));
  EXPECT_EQ(names_of(templates()),
            (std::vector<std::string>{"minimal", "dev", "gui-dev", "rust-dev", "ubuntu-dev", "debian-dev"}));
}

TEST(Preset, EveryOneParsesAndSaysWhatItIs) {
  for (const auto* list : {&presets(), &templates()}) {
    for (const Preset& preset : *list) {
      EXPECT_NO_THROW(static_cast<void>(parse_manifest(preset.manifest_toml, preset.name))) << preset.name;
      EXPECT_FALSE(preset.description.empty());
      EXPECT_TRUE(preset.manifest_toml.starts_with("# "));
    }
  }
}

TEST(Preset, IsFoundByItsExactNameOnly) {
  EXPECT_EQ(find_preset("gaming").value().name, "gaming");
  EXPECT_EQ(find_template("debian-dev").value().name, "debian-dev");
  EXPECT_FALSE(find_preset("Gaming").has_value());
  EXPECT_FALSE(find_preset("debian-dev").has_value());
  EXPECT_FALSE(find_template("").has_value());
}

TEST(Preset, ContentsAreThoseOfTheTable) {
  const auto parse = [](const std::optional<Preset>& preset) {
    return parse_manifest(preset.value().manifest_toml, "x");
  };
  EXPECT_EQ(parse(find_preset("dev")).system_packages,
            (std::vector<std::string>{"cmake", "curl", "gcc", "git", "make", "vim", "wget"}));
  EXPECT_TRUE(parse(find_preset("gui-app")).hardware_audio);
  EXPECT_EQ(parse(find_preset("minimal")).base_image, "debian/12");
  EXPECT_EQ(parse(find_template("ubuntu-dev")).base_image, "ubuntu/24.04");
  EXPECT_EQ(parse(find_template("debian-dev")).base_image, "debian/12");
  EXPECT_EQ(parse(find_template("gui-dev")).mounts.at(0), (Mount{"workspace", "./", "/workspace"}));
}

TEST(Examples, EveryOneParses) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(KARAPACE_SOURCE_DIR "/examples")) {
    if (entry.path().extension() != ".toml") continue;
    EXPECT_NO_THROW(static_cast<void>(load_manifest(entry.path()))) << entry.path();
    ++count;
  }
  EXPECT_GE(count, 2);
  const Manifest dev = load_manifest(KARAPACE_SOURCE_DIR "/examples/dev.toml");
  EXPECT_EQ(dev.base_image, "debian/12");
}

}  // namespace
}  // namespace karapace
