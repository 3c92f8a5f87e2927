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

namespace {

constexpr std::size_t kMaxPath = 16384;

void check_arguments(const Invocation& invocation, bool exporting) {
  if (exporting && (invocation.has("lock") || invocation.has("into")))
    throw UsageError(invocation.command, "--lock and --into belong to import");
  if (!exporting && invocation.argument(2))
    throw UsageError(invocation.command, "import takes no manifest: it is in the bundle");
}

OrderedJson result_json(const core::BundleResult& result, bool exporting) {
  Json json = {{"bundle", printable(result.path, kMaxPath)},
               {"bytes", result.bytes},
               {"env_id", result.env_id},
               {"files", result.files},
               {"status", exporting ? "exported" : "imported"}};
  if (!exporting) json["added_files"] = result.added_files;
  return OrderedJson(json);
}

}  // namespace

int run_bundle(const Invocation& invocation) {
  const std::string action = invocation.argument(0).value();
  const std::string file = invocation.argument(1).value();
  if (action != "export" && action != "import")
    throw UsageError(invocation.command, fmt::format("'{}' is neither export nor import", printable(action)));
  const bool exporting = action == "export";
  check_arguments(invocation, exporting);
  ProgressRenderer progress(progress_style(invocation.json()), wants_colour(Stream::Err));
  core::Engine engine = open_engine(invocation, core::Access::Write, progress);
  const core::BundleResult result =
      exporting ? engine.export_bundle(invocation.argument(2).value_or("karapace.toml"), file)
                : engine.import_bundle(file, {.expected_lock = invocation.value("lock").value_or(""),
                                              .into = invocation.value("into").value_or("")});
  progress.finish(ProgressRenderer::Outcome::Success);
  if (invocation.json()) {
    print_json(result_json(result, exporting));
  } else if (exporting) {
    write_stdout(fmt::format("{}: {}, {}\n", printable(result.path, kMaxPath), counted(result.files, "file"),
                             size_text(result.bytes)));
  } else {
    write_stdout(
        fmt::format("{} in the store, {} of them new\n", counted(result.files, "file"), result.added_files));
  }
  return kSuccess;
}

}  // namespace karapace::cli
