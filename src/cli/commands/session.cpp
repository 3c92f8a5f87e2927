// SPDX-License-Identifier: Apache-2.0
// enter and exec. This process is replaced by the session: there is nobody between the caller and the program
// who could lose a byte, a signal or an exit status. For the same reason no signal handlers are installed on
// this path.
#include <fmt/format.h>

#include <string>

#include "commands/commands.hpp"
#include "context.hpp"
#include "karapace/runtime/session.hpp"
#include "output.hpp"
#include "progress_renderer.hpp"
#include "terminal.hpp"

namespace karapace::cli {

namespace {

enum class Kind { Enter, Exec };

bool want_terminal(const Invocation& invocation, Kind kind) {
  if (invocation.has("no-tty")) return false;
  if (invocation.has("tty")) return true;
  // With a redirected stderr exec must not merge the two streams in one terminal.
  return is_terminal(Stream::In) && is_terminal(Stream::Out) &&
         (kind == Kind::Enter || is_terminal(Stream::Err));
}

int start(const Invocation& invocation, Kind kind) {
  if (kind == Kind::Exec && invocation.program.empty()) {
    throw UsageError(invocation.command, "missing the program to run", "karapace exec dev -- make");
  }
  if (invocation.has("tty") && invocation.has("no-tty")) {
    throw UsageError(invocation.command, "--tty and --no-tty contradict each other");
  }
  ProgressRenderer progress(ProgressRenderer::Style::Quiet, false);  // only for whom we wait
  core::Engine engine = open_engine(invocation, core::Access::Write, progress);
  const core::EnvironmentView environment = find_environment(engine, invocation);
  runtime::PreparedSession session =
      engine.prepare_session(environment, {.command = invocation.program,
                                           .as_root = invocation.has("root"),
                                           .want_terminal = want_terminal(invocation, kind)});
  if (invocation.has("explain")) {
    ignore_broken_pipes();
    std::string text = runtime::explain_plan(session.plan);
    if (!text.ends_with('\n')) text += '\n';
    write_stdout(text);
    return 0;
  }
  runtime::become_session(engine.store(), std::move(session));
}

}  // namespace

int run_enter(const Invocation& invocation) { return start(invocation, Kind::Enter); }

int run_exec(const Invocation& invocation) { return start(invocation, Kind::Exec); }

}  // namespace karapace::cli
