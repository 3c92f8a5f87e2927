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

int run_export(const Invocation& invocation) {
  const std::optional<std::string> output = invocation.value("output");
  if (!output || output->empty())
    throw UsageError(invocation.command, "--output is missing",
                     "name a directory, or a file that ends in .tar");
  ProgressRenderer progress(progress_style(invocation.json()), wants_colour(Stream::Err));
  core::Engine engine = open_engine(invocation, core::Access::Write, progress);
  const core::ExportResult result =
      engine.export_tree(invocation.argument(0).value(), *output, {.delta = invocation.has("delta")});
  progress.finish(ProgressRenderer::Outcome::Success);
  if (invocation.json()) {
    const auto optional = [](const std::optional<std::string>& value) {
      return value ? Json(*value) : Json(nullptr);
    };
    print_json(OrderedJson(Json{{"env_id", optional(result.env_id)},
                                {"format", result.is_archive ? "tar" : "directory"},
                                {"output", printable(result.path, 16384)},
                                {"snapshot", optional(result.snapshot)}}));
  } else {
    write_stdout(fmt::format("{}\n", printable(result.path, 16384)));
  }
  return kSuccess;
}

}  // namespace karapace::cli
