// SPDX-License-Identifier: Apache-2.0
#include "worker/archive_texts.hpp"

#include <gtest/gtest.h>

#include "karapace/base/error.hpp"
#include "worker/tests/scratch.hpp"
#include "worker/tests/tar_text.hpp"

namespace karapace::worker {
namespace {

UniqueFd archive(const Scratch& scratch, const std::string& bytes) {
  scratch.write("archive", bytes);
  return open_beneath(scratch.fd(), "archive", O_RDONLY);
}

TEST(ArchiveTexts, OnlyWantedRegularFilesAreRead) {
  const Scratch scratch;
  const std::string bytes = tar_entry({.name = "./.PKGINFO", .content = "pkgname = a"}) +
                            tar_entry({.name = "other", .content = "x"}) +
                            tar_entry({.name = "link", .type = '2', .link = "other"}) +
                            std::string(1024, '\0');
  const auto texts = read_archive_texts(archive(scratch, bytes), {".PKGINFO", "link", "missing"});
  EXPECT_EQ(texts, (std::map<std::string, std::string>{{".PKGINFO", "pkgname = a"}}));
}

TEST(ArchiveTexts, WhatIsNoArchiveIsRefused) {
  const Scratch scratch;
  EXPECT_THROW(static_cast<void>(read_archive_texts(archive(scratch, std::string(4096, 'x')), {"a"})), Error);
}

TEST(RpmDescriptions, OnlyThoseOfTheNamesAreReadAlsoAcrossBuffers) {
  const Scratch scratch;
  const std::string filler(700 * 1024, 'x');
  const auto element = [&](const std::string& name) {
    return "<package type=\"rpm\"><name>" + name + "</name><description>" + filler +
           "</description></package>";
  };
  const std::string index = "<metadata packages=\"4\">\n" + element("a") + "\n" + element("b") + "\n" +
                            element("a") + "\n" + element("ab") + "\n</metadata>\n";
  EXPECT_EQ(read_rpm_descriptions(archive(scratch, index), {"a", "c"}), element("a") + element("a"));
  EXPECT_EQ(read_rpm_descriptions(archive(scratch, ""), {"a"}), "");
}

}  // namespace
}  // namespace karapace::worker
