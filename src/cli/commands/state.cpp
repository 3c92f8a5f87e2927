// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <string>
#include <string_view>

#include "commands/commands.hpp"
#include "context.hpp"
#include "output.hpp"
#include "progress_renderer.hpp"
#include "terminal.hpp"

namespace karapace::cli {

namespace {

using Change = core::StateChange (core::Engine::*)(const core::EnvironmentView&);

/// `done` is the state it has afterwards, as a word for people and for scripts.
int change_state(const Invocation& invocation, Change change, std::string_view done) {
  ProgressRenderer progress(progress_style(invocation.json()), wants_colour(Stream::Err));
  core::Engine engine = open_engine(invocation, core::Access::Write, progress);
  const core::StateChange result = (engine.*change)(find_environment(engine, invocation));
  progress.finish(ProgressRenderer::Outcome::Success);
  const store::EnvRecord& record = result.environment.record;
  if (invocation.json()) {
    print_json({{"changed", result.changed},
                {"env_id", record.env_id},
                {"name", record.name ? OrderedJson(*record.name) : OrderedJson(nullptr)},
                {"short_id", record.short_id},
                {"status", done}});
  } else {
    write_stdout(
        fmt::format("{} {}{}\n", done, display_name(record), result.changed ? "" : " (nothing to do)"));
  }
  return 0;
}

}  // namespace

int run_freeze(const Invocation& invocation) {
  return change_state(invocation, &core::Engine::freeze, "frozen");
}
int run_thaw(const Invocation& invocation) { return change_state(invocation, &core::Engine::thaw, "thawed"); }

int run_archive(const Invocation& invocation) {
  return change_state(invocation, &core::Engine::archive, "archived");
}
int run_unarchive(const Invocation& invocation) {
  return change_state(invocation, &core::Engine::unarchive, "unarchived");
}

}  // namespace karapace::cli
