// SPDX-License-Identifier: Apache-2.0
// pin: writes to the manifest which bytes its base is.
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
constexpr std::size_t kMaxText = 4096;
}  // namespace

int run_pin(const Invocation& invocation) {
  const bool check = invocation.has("check");
  if (check && invocation.has("write-lock"))
    throw UsageError(invocation.command, "--check changes nothing, so there is no --write-lock with it");
  ProgressRenderer progress(progress_style(invocation.json()), wants_colour(Stream::Err));
  core::Engine engine = open_engine(invocation, check ? core::Access::Read : core::Access::Write, progress);
  const core::PinResult result = engine.pin(invocation.argument(0).value_or("karapace.toml"),
                                            {.check = check, .write_lock = invocation.has("write-lock")});
  progress.finish(ProgressRenderer::Outcome::Success);
  const std::string manifest = printable(result.manifest_path, kMaxText);
  if (invocation.json()) {
    Json json = {{"manifest", manifest}, {"status", "pinned"}};
    if (!check) {
      json["base_image"] = printable(result.base_image, kMaxText);
      json["changed"] = result.changed;
      json["lock"] = result.lock_path.empty() ? Json(nullptr) : Json(printable(result.lock_path, kMaxText));
      json["env_id"] = result.env_id.empty() ? Json(nullptr) : Json(result.env_id);
    }
    print_json(OrderedJson(json));
  } else if (!check) {
    std::string text = fmt::format("{}: {}\n", manifest, printable(result.base_image, kMaxText));
    if (!result.lock_path.empty()) text += fmt::format("lock: {}\n", printable(result.lock_path, kMaxText));
    write_stdout(text);
  }
  return kSuccess;
}

}  // namespace karapace::cli
