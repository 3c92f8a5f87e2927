// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>

#include "command_line.hpp"
#include "commands/commands.hpp"
#include "context.hpp"
#include "error_report.hpp"
#include "exit_code.hpp"
#include "output.hpp"
#include "progress_renderer.hpp"
#include "terminal.hpp"

namespace karapace::cli {

namespace {

std::string_view name_of(store::LayerKind kind) {
  return kind == store::LayerKind::Base ? "base" : "dependency";
}

OrderedJson result_json(const store::EnvRecord& record, const core::EnvVerification& result, bool rebuilt) {
  OrderedJson json;
  json["env_id"] = record.env_id;
  json["name"] = record.name ? OrderedJson(*record.name) : OrderedJson(nullptr);
  json["short_id"] = record.short_id;
  json["rebuilt"] = rebuilt;
  json["identical"] = result.identical();
  json["layers"] = OrderedJson::array();
  for (const core::LayerComparison& layer : result.layers) json["layers"].push_back(comparison_json(layer));
  json["downloaded_files"] = result.downloaded_files;
  json["downloaded_bytes"] = result.downloaded_bytes;
  return json;
}

std::string describe(const core::LayerComparison& layer, bool colour) {
  const bool same = layer.expected == layer.found;
  std::string text =
      fmt::format("{} {} layer {}\n", coloured(same ? "same" : "DIFFERS", same ? "32" : "31", colour),
                  name_of(layer.kind), layer.expected);
  if (same) return text;
  text += fmt::format("     found {}\n", layer.found);
  for (const core::FileDifference& difference : layer.differences) {
    text += fmt::format("     /{} ({})", printable(difference.change.path, 4096),
                        what_differs(difference.change));
    if (difference.owner) text += ", " + runtime::describe(*difference.owner);
    text += '\n';
  }
  return text;
}

}  // namespace

int run_verify_env(const Invocation& invocation) {
  const core::VerifyEnvOptions options{.rebuild = invocation.has("rebuild"),
                                       .keep = invocation.value("keep").value_or("")};
  if (!options.keep.empty() && !options.rebuild)
    throw UsageError(invocation.command, "--keep goes with --rebuild only");
  ProgressRenderer progress(progress_style(invocation.json()), wants_colour(Stream::Err));
  core::Engine engine =
      open_engine(invocation, options.rebuild ? core::Access::Write : core::Access::Read, progress);
  const core::EnvironmentView environment = find_environment(engine, invocation);
  const core::EnvVerification result = engine.verify_environment(environment, options);
  const bool same = result.identical();
  progress.finish(same ? ProgressRenderer::Outcome::Success : ProgressRenderer::Outcome::Failure);
  if (invocation.json()) {
    print_json(result_json(environment.record, result, options.rebuild));
  } else {
    std::string text;
    for (const core::LayerComparison& layer : result.layers)
      text += describe(layer, wants_colour(Stream::Out));
    write_stdout(text);
  }
  if (same) return kSuccess;
  return options.rebuild ? kFailure : kBadStore;
}

}  // namespace karapace::cli
