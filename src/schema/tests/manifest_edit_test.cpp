// SPDX-License-Identifier: Apache-2.0
#include "karapace/schema/manifest_edit.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "karapace/schema/manifest.hpp"

namespace karapace {
namespace {

std::string edited(const std::string& text) { return replace_base_image(text, "karapace.toml", "debian/13"); }

TEST(ManifestEdit, ChangesTheImageAndNotAByteBesideIt) {
  const std::string before =
      "# a comment with image = \"x\"\r\nmanifest_version = 1 # ä\r\n\r\n[base] # ö\n  image\t= ";
  const std::string after = "  # why \"this\" one\n[system]\npackages = [ 'git', ]";
  for (const std::string value : {"\"debian/12\"", "'debian/12'", "\"debian\\u002f12\""})
    EXPECT_EQ(edited(before + value + after), before + "\"debian/13\"" + after) << value;
}

TEST(ManifestEdit, FindsTheImageHoweverTheTableIsWritten) {
  EXPECT_EQ(edited("manifest_version = 1\nbase = { image = 'debian/12' }\n"),
            "manifest_version = 1\nbase = { image = \"debian/13\" }\n");
  EXPECT_EQ(edited("base.image = 'debian/12'\nmanifest_version = 1\n"),
            "base.image = \"debian/13\"\nmanifest_version = 1\n");
}

TEST(ManifestEdit, WhatItCannotChangeItSays) {
  EXPECT_THROW(static_cast<void>(edited("manifest_version = 1\n[base]\nimage = \"\"\"\ndebian/12\"\"\"\n")),
               Error);
  const std::string text = "manifest_version = 1\n[base]\nimage = 'debian/12'\n";
  EXPECT_THROW(static_cast<void>(replace_base_image(text, "karapace.toml", "a\"b")), Error);
  EXPECT_THROW(static_cast<void>(replace_base_image(text, "karapace.toml", "a\nb = 1")), Error);
  EXPECT_THROW(static_cast<void>(edited("[base\n")), ManifestError);
}

}  // namespace
}  // namespace karapace
