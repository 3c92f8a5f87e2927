// SPDX-License-Identifier: Apache-2.0
#include "packages/rpm.hpp"

#include <gtest/gtest.h>

#include "packages/dnf.hpp"

namespace karapace::runtime {
namespace {

TEST(RpmQuery, AnEpochOfZeroIsNone) {
  const auto packages = parse_rpm_query("a\t0:1-2\nb\t1:1-2\nnoise\nc\t1-2.fc41\n");
  ASSERT_EQ(packages.size(), 3U);
  EXPECT_EQ(packages[0].version, "1-2");
  EXPECT_EQ(packages[1].version, "1:1-2");
  EXPECT_EQ(packages[2].name, "c");
  EXPECT_EQ(packages[2].version, "1-2.fc41");
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

}  // namespace
}  // namespace karapace::runtime
