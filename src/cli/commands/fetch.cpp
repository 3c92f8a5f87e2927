// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <string>

#include "commands/commands.hpp"
#include "context.hpp"
#include "exit_code.hpp"
#include "karapace/base/text.hpp"
#include "output.hpp"
#include "progress_renderer.hpp"
#include "size_text.hpp"
#include "terminal.hpp"

namespace karapace::cli {

int run_fetch(const Invocation& invocation) {
  core::BuildOptions options;
  options.locked = invocation.has("locked");
  ProgressRenderer progress(progress_style(invocation.json()), wants_colour(Stream::Err));
  core::Engine engine = open_engine(invocation, core::Access::Write, progress);
  const core::FetchResult result = engine.fetch(invocation.argument(0).value_or("karapace.toml"), options);
  progress.finish(ProgressRenderer::Outcome::Success);
  if (invocation.json()) {
    print_json(OrderedJson(Json{{"env_id", result.env_id},
                                {"lock", printable(result.lock_path, 4096)},
                                {"lock_changed", result.lock_changed},
                                {"files", result.files},
                                {"bytes", result.bytes},
                                {"downloaded_files", result.downloaded_files},
                                {"downloaded_bytes", result.downloaded_bytes}}));
  } else {
    std::string text =
        fmt::format("{} in the store, {} of them downloaded now ({})\n", counted(result.files, "file"),
                    result.downloaded_files, size_text(result.downloaded_bytes));
    if (result.lock_changed) text += fmt::format("lock: {}\n", printable(result.lock_path, 4096));
    write_stdout(text);
  }
  return kSuccess;
}

}  // namespace karapace::cli
