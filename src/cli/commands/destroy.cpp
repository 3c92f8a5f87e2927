// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <string>

#include "commands/commands.hpp"
#include "context.hpp"
#include "exit_code.hpp"
#include "output.hpp"
#include "progress_renderer.hpp"
#include "terminal.hpp"

namespace karapace::cli {

namespace {

/// Scripts have always called destroy without a flag; somebody at a terminal can be asked.
bool agreed(const Invocation& invocation, const store::EnvRecord& record) {
  if (invocation.has("yes") || !is_terminal(Stream::In) || !is_terminal(Stream::Err)) return true;
  const std::string name =
      record.name ? fmt::format("{} ({})", printable(*record.name), record.short_id) : record.short_id;
  return confirm(fmt::format("Destroy {} and everything written in it? [y/N] ", name));
}

}  // namespace

int run_destroy(const Invocation& invocation) {
  ProgressRenderer progress(progress_style(invocation.json()), wants_colour(Stream::Err));
  core::Engine engine = open_engine(invocation, core::Access::Write, progress);
  const core::EnvironmentView environment = find_environment(engine, invocation);
  if (!agreed(invocation, environment.record)) {
    throw Error(ErrorCode::Conflict, "nothing was destroyed: you did not agree");
  }
  const core::DestroyResult result = engine.destroy(environment);
  progress.finish(ProgressRenderer::Outcome::Success);
  if (invocation.json()) {
    print_json({{"env_id", result.env_id},
                {"name", result.name ? OrderedJson(*result.name) : OrderedJson(nullptr)},
                {"short_id", environment.record.short_id},
                {"status", "destroyed"}});
  } else {
    write_stdout(fmt::format("destroyed {}\n", display_name(environment.record)));
  }
  return kSuccess;
}

}  // namespace karapace::cli
