// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "commands/commands.hpp"
#include "context.hpp"
#include "exit_code.hpp"
#include "output.hpp"
#include "terminal.hpp"

namespace karapace::cli {

namespace {

std::string mark(std::string_view status, bool colour) {
  if (status == "pass") return coloured("✓", "32", colour);
  if (status == "fail") return coloured("✗", "31", colour);
  if (status == "warn") return coloured("⚠", "33", colour);
  return coloured("ℹ", "36", colour);
}

std::string describe(const core::DoctorReport& report, bool colour) {
  std::string text = "karapace doctor\n";
  std::size_t failed = 0;
  std::size_t warned = 0;
  std::size_t columns = 0;
  for (const core::DoctorCheck& check : report.checks) columns = std::max(columns, check.name.size());
  for (const core::DoctorCheck& check : report.checks) {
    text += fmt::format("  {} {} {}\n", mark(check.status, colour), padded(printable(check.name), columns),
                        printable(check.message, 1000));
    if (check.status == "fail") ++failed;
    if (check.status == "warn") ++warned;
    const bool needs_fix = check.status == "fail" || check.status == "warn";
    if (needs_fix && !check.fix.empty()) text += fmt::format("      fix: {}\n", printable(check.fix, 1000));
  }
  if (report.healthy) {
    text += warned == 0 ? "everything is in order\n" : fmt::format("ready, {} thing(s) to know\n", warned);
  } else {
    text += fmt::format("{} check(s) failed\n", failed);
  }
  return text;
}

OrderedJson report_json(const core::DoctorReport& report) {
  Json checks = Json::array();
  for (const core::DoctorCheck& check : report.checks) {
    checks.push_back({{"message", printable(check.message, 4000)},
                      {"name", check.name},
                      {"status", check.status},
                      {"fix", printable(check.fix, 4000)}});
  }
  return OrderedJson(Json{{"checks", std::move(checks)}, {"healthy", report.healthy}});
}

}  // namespace

int run_doctor(const Invocation& invocation) {
  core::Engine engine = open_engine(invocation, core::Access::Read, no_progress());
  const core::DoctorReport report = engine.doctor();
  if (invocation.json()) {
    print_json(report_json(report));
  } else {
    write_stdout(describe(report, wants_colour(Stream::Out)));
  }
  return report.healthy ? kSuccess : kFailure;
}

}  // namespace karapace::cli
