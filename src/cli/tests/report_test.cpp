// SPDX-License-Identifier: Apache-2.0
// What people and programs are told: exit codes, error texts, progress lines.
#include <gtest/gtest.h>

#include <csignal>
#include <string>

#include "command_line.hpp"
#include "error_report.hpp"
#include "exit_code.hpp"
#include "karapace/schema/manifest.hpp"
#include "progress_renderer.hpp"
#include "terminal.hpp"

namespace karapace::cli {
namespace {

using std::chrono::milliseconds;

TEST(ExitCode, BadInputIsTwoDamageIsThreeTheRestIsOne) {
  EXPECT_EQ(exit_code(ErrorCode::InvalidInput), 2);
  EXPECT_EQ(exit_code(ErrorCode::Corrupt), 3);
  EXPECT_EQ(exit_code(ErrorCode::NotFound), 1);
  EXPECT_EQ(exit_code(ErrorCode::Unavailable), 1);
}

TEST(ExitCode, CancelledIsReportedAsAShellWould) {
  EXPECT_EQ(exit_code(Cancelled(SIGTERM)), 143);
  EXPECT_EQ(exit_code(Cancelled(SIGINT)), 130);
  EXPECT_EQ(exit_code(Cancelled()), 130);
}

TEST(ErrorReport, JsonOfAManifestErrorSaysWhere) {
  const ManifestError error("karapace.toml", 4, 2, "system.pakages", "unknown key", "did you mean packages?");
  const OrderedJson detail = error_document(error).at("error");
  EXPECT_EQ(detail.at("code"), "invalid_input");
  EXPECT_EQ(detail.at("file"), "karapace.toml");
  EXPECT_EQ(detail.at("line"), 4);
  EXPECT_EQ(detail.at("column"), 2);
  EXPECT_EQ(detail.at("key"), "system.pakages");
  EXPECT_EQ(detail.at("fix"), "did you mean packages?");
}

TEST(ErrorReport, JsonTellsWrongUsageFromBadInput) {
  EXPECT_EQ(error_document(UsageError(nullptr, "x")).at("error").at("code"), "usage");
  EXPECT_EQ(error_document(Error(ErrorCode::InvalidInput, "x")).at("error").at("code"), "invalid_input");
}

TEST(ErrorReport, JsonStaysValidWithBytesThatAreNoUtf8) {
  const OrderedJson document = error_document(Error(ErrorCode::NotFound, "bad \xff name"));
  EXPECT_NE(pretty_json(document).find("bad \\\\xff name"), std::string::npos);
}

TEST(ErrorReport, TextHasCauseThenFixAndNoEscapesFromOutside) {
  EXPECT_EQ(error_text(Error(ErrorCode::Conflict, "a\x1b]0;b", "do c"), false),
            "error: a\\x1b]0;b\n  fix: do c\n");
}

TEST(ErrorReport, TextKeepsLinesButNotWithoutLimit) {
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "line\n";
  const std::string text = error_text(Error(ErrorCode::External, many), false);
  EXPECT_TRUE(text.starts_with("error: line\n  line\n"));
  EXPECT_LT(text.size(), 1000U);
}

TEST(Progress, BytesAreShownInBinaryUnits) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_bytes(1024 * 1024 - 1), "1.0 MiB");
  EXPECT_EQ(format_bytes(5ULL << 30U), "5.0 GiB");
}

TEST(Progress, DurationsAreShort) {
  EXPECT_EQ(format_duration(milliseconds(340)), "340 ms");
  EXPECT_EQ(format_duration(milliseconds(4200)), "4.2 s");
  EXPECT_EQ(format_duration(milliseconds(185000)), "3 min 05 s");
}

TEST(Progress, ADownloadShowsAmountRateAndTimeLeft) {
  StepView step{.name = "download",
                .detail = "3 packages",
                .done = 4 << 20,
                .total = 16 << 20,
                .unit = "bytes",
                .elapsed = milliseconds(2000)};
  EXPECT_EQ(describe_step(step), "download: 3 packages  4.0 MiB of 16.0 MiB  25%  2.0 MiB/s  7 s left");
  step.total = 0;
  EXPECT_EQ(describe_step(step), "download: 3 packages  4.0 MiB  2.0 MiB/s");
}

TEST(Progress, PackagesAreCounted) {
  const StepView step{.name = "install",
                      .detail = "",
                      .done = 3,
                      .total = 17,
                      .unit = "packages",
                      .elapsed = milliseconds(900)};
  EXPECT_EQ(describe_step(step), "install  3 of 17 packages");
}

TEST(Terminal, ClippingNeverCutsACharacterInTwo) {
  EXPECT_EQ(clip("aé✓b", 3), "aé✓");
  EXPECT_EQ(clip("ab", 5), "ab");
  EXPECT_EQ(clip("ab", 0), "");
  EXPECT_EQ(padded("é", 3), "é  ");
}

}  // namespace
}  // namespace karapace::cli
