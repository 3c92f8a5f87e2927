// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <string>

#include "commands/commands.hpp"
#include "context.hpp"
#include "output.hpp"
#include "progress_renderer.hpp"

namespace karapace::cli {

namespace {

constexpr std::chrono::seconds kDefaultGrace{5};
constexpr unsigned kMaxGraceSeconds = 3600;

std::chrono::milliseconds grace(const Invocation& invocation) {
  const std::optional<std::string> given = invocation.value("grace");
  if (!given) return kDefaultGrace;
  unsigned seconds = 0;
  const auto [end, error] = std::from_chars(given->data(), given->data() + given->size(), seconds);
  if (error != std::errc{} || end != given->data() + given->size() || seconds > kMaxGraceSeconds) {
    throw UsageError(invocation.command, fmt::format("--grace: not a number of seconds from 0 to {}: '{}'",
                                                     kMaxGraceSeconds, printable(*given)));
  }
  return std::chrono::seconds(seconds);
}

std::string_view status_of(runtime::StopResult result) {
  switch (result) {
    case runtime::StopResult::NotRunning:
      return "not_running";
    case runtime::StopResult::Terminated:
      return "stopped";
    case runtime::StopResult::Killed:
      return "killed";
  }
  return "stopped";
}

}  // namespace

int run_stop(const Invocation& invocation) {
  const std::chrono::milliseconds patience = grace(invocation);
  ProgressRenderer progress(progress_style(invocation.json()), false);
  core::Engine engine = open_engine(invocation, core::Access::Write, progress);
  const core::EnvironmentView environment = find_environment(engine, invocation);
  const runtime::StopResult result = engine.stop(environment, patience);
  if (result == runtime::StopResult::NotRunning) {
    throw Error(ErrorCode::Conflict,
                fmt::format("environment {} is not running", display_name(environment.record)),
                "karapace list shows which ones are");
  }
  if (invocation.json()) {
    print_json(
        {{"env_id", environment.record.env_id},
         {"name", environment.record.name ? OrderedJson(*environment.record.name) : OrderedJson(nullptr)},
         {"short_id", environment.record.short_id},
         {"status", status_of(result)}});
    return 0;
  }
  const bool killed = result == runtime::StopResult::Killed;
  write_stdout(fmt::format("stopped {}{}\n", display_name(environment.record),
                           killed ? " (some programs did not end in time and were killed)" : ""));
  return 0;
}

}  // namespace karapace::cli
