// SPDX-License-Identifier: Apache-2.0
#include "packages/rpm.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "packages/dnf.hpp"
#include "temporary_directory.hpp"

namespace karapace::runtime {
namespace {

TEST(RpmQuery, AnEpochOfZeroIsNone) {
  const auto packages = parse_rpm_query("a\t0:1-2\tnoarch\nb\t1:1-2\tnoarch\nnoise\nc\t1-2.fc41\tx86_64\n");
  ASSERT_EQ(packages.size(), 3U);
  EXPECT_EQ(packages[0].version, "1-2");
  EXPECT_EQ(packages[1].version, "1:1-2");
  EXPECT_EQ(packages[2].name, "c");
  EXPECT_EQ(packages[2].version, "1-2.fc41");
  EXPECT_EQ(packages[2].arch, "x86_64");
}

TEST(RpmSignatures, WhateverIsNotCalledGoodIsBad) {
  EXPECT_EQ(parse_bad_signatures("/run/packages/a.rpm: digests signatures OK\n"
                                 "/run/packages/b.rpm: digests SIGNATURES NOT OK\n"
                                 "/run/packages/c.rpm: no signature\nnoise\n"),
            (std::vector<std::string>{"/run/packages/b.rpm", "/run/packages/c.rpm"}));
}

TEST(DnfInterpreter, IsTheOneOfItsFirstLine) {
  EXPECT_EQ(dnf::interpreter_of("#!/usr/libexec/platform-python -s\nimport"), "/usr/libexec/platform-python");
  EXPECT_EQ(dnf::interpreter_of("#! /usr/bin/python3\n"), "/usr/bin/python3");
  EXPECT_EQ(dnf::interpreter_of("\x7f"
                                "ELF"),
            "");
}

TEST(DnfInterpreter, ABaseWithDnf5OnlyIsToldWhatItLacks) {
  const test::TemporaryDirectory directory;
  const std::filesystem::path bin = std::filesystem::path(directory.path()) / "usr/bin";
  std::filesystem::create_directories(bin);
  std::ofstream(bin / "dnf5") << "\x7f"
                              << "ELF";
  std::filesystem::create_symlink("/usr/bin/dnf5", bin / "dnf");
  const UniqueFd base = open_path(directory.path(), O_RDONLY | O_DIRECTORY);
  try {
    static_cast<void>(dnf::find_interpreter(base));
    FAIL() << "an ELF program has no interpreter";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Unsupported);
    EXPECT_NE(std::string_view(error.what()).find("dnf 5"), std::string_view::npos);
    EXPECT_NE(error.fix().find("dnf 4"), std::string::npos);
  }
  std::ofstream(bin / "dnf-3") << "#!/usr/bin/python3 -s\n";
  EXPECT_EQ(dnf::find_interpreter(base), "/usr/bin/python3");
}

}  // namespace
}  // namespace karapace::runtime
