// SPDX-License-Identifier: Apache-2.0
// build and rebuild: the same arguments, the same output, another engine call.
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>

#include <string>

#include "commands/commands.hpp"
#include "context.hpp"
#include "karapace/schema/manifest.hpp"
#include "output.hpp"
#include "progress_renderer.hpp"
#include "terminal.hpp"

namespace karapace::cli {

namespace {

constexpr std::string_view kDefaultManifest = "karapace.toml";

constexpr std::size_t kMaxNote = 10000;

enum class Kind { Build, Rebuild };

/// --update=git,curl --update=make: {"git", "curl", "make"}.
std::vector<std::string> update_packages(const Invocation& invocation) {
  std::vector<std::string> packages;
  for (std::string_view list : invocation.values("update")) {
    while (!list.empty()) {
      const std::size_t comma = list.find(',');
      const std::string_view name = list.substr(0, comma);
      if (!is_package_name(name)) {
        throw UsageError(invocation.command,
                         fmt::format("--update: not a package name: '{}'", printable(name)),
                         "write --update=git,curl, or --update alone for everything");
      }
      packages.emplace_back(name);
      list.remove_prefix(comma == list.npos ? list.size() : comma + 1);
    }
  }
  return packages;
}

core::BuildOptions build_options(const Invocation& invocation) {
  core::BuildOptions options;
  options.name = invocation.value("name");
  if (options.name) store::check_env_name(*options.name);
  options.locked = invocation.has("locked");
  options.offline = invocation.has("offline");
  options.require_pinned_image = invocation.has("require-pinned-image");
  options.update_packages = update_packages(invocation);
  options.update = invocation.has("update") && options.update_packages.empty();
  if (options.locked && invocation.has("update")) {
    throw UsageError(invocation.command, "--locked and --update contradict each other");
  }
  return options;
}

std::string manifest_path(const Invocation& invocation) {
  std::string path = invocation.argument(0).value_or(std::string(kDefaultManifest));
  // "build --update git" reads as a manifest called git; say what was meant instead of "no such file".
  if (invocation.has("update") && is_package_name(path) && !path.ends_with(".toml") &&
      ::access(path.c_str(), F_OK) != 0) {
    throw UsageError(invocation.command, fmt::format("there is no manifest '{}'", printable(path)),
                     fmt::format("to update only this package write --update={}", path));
  }
  return path;
}

std::chrono::milliseconds total(const core::BuildResult& result) {
  std::chrono::milliseconds sum{0};
  for (const core::StepTime& step : result.timings) sum += step.time;
  return sum;
}

std::string timings_text(const core::BuildResult& result) {
  const auto whole = total(result);
  std::string text;
  const auto line = [&](std::string_view part, std::string_view step, std::chrono::milliseconds time) {
    text += fmt::format("  {:<10}{:<12}{:>10}{:>6}\n", part, step, format_duration(time),
                        fmt::format("{}%", whole.count() > 0 ? time * 100 / whole : 0));
  };
  for (const core::StepTime& step : result.timings) line(step.part, printable(step.step), step.time);
  line({}, "total", whole);
  return text;
}

OrderedJson result_json(const core::BuildResult& result, Kind kind, bool timings) {
  Json json = {{"env_id", result.env_id},
               {"short_id", result.short_id},
               {"name", result.name ? Json(*result.name) : Json(nullptr)},
               {"status", kind == Kind::Build ? "built" : "rebuilt"},
               {"up_to_date", result.up_to_date},
               {"lock", printable(result.lock_path, 4096)},
               {"lock_changed", result.lock_changed},
               {"downloaded_bytes", result.downloaded_bytes},
               {"downloaded_files", result.downloaded_files},
               {"base_layer", result.base_layer},
               {"dependency_layers", result.dependency_layers}};
  json["notes"] = Json::array();
  for (const std::string& note : result.notes) json["notes"].push_back(printable(note, kMaxNote));
  if (timings) {
    json["timings"] = Json::array();
    for (const core::StepTime& step : result.timings) {
      json["timings"].push_back({{"step", step.step},
                                 {"part", step.part.empty() ? Json(nullptr) : Json(step.part)},
                                 {"milliseconds", step.time.count()}});
    }
    json["total_milliseconds"] = total(result).count();
  }
  return OrderedJson(json);
}

std::string result_text(const core::BuildResult& result, Kind kind, bool timings) {
  const std::string_view verb = kind == Kind::Rebuild ? "rebuilt"
                                : result.up_to_date   ? "up to date:"
                                                      : "built";
  std::string text = result.name ? fmt::format("{} {} ({})\n", verb, printable(*result.name), result.short_id)
                                 : fmt::format("{} {}\n", verb, result.short_id);
  text += fmt::format("env_id: {}\n", result.env_id);
  if (result.lock_changed) text += fmt::format("lock: {}\n", printable(result.lock_path, 4096));
  return timings ? text + timings_text(result) : text;
}

int build(const Invocation& invocation, Kind kind) {
  const core::BuildOptions options = build_options(invocation);
  const std::string manifest = manifest_path(invocation);
  ProgressRenderer progress(progress_style(invocation.json()), wants_colour(Stream::Err));
  core::Engine engine = open_engine(invocation, core::Access::Write, progress);
  const core::BuildResult result =
      kind == Kind::Build ? engine.build(manifest, options) : engine.rebuild(manifest, options);
  progress.finish(ProgressRenderer::Outcome::Success);
  const bool timings = invocation.has("timings");
  if (invocation.json()) {
    print_json(result_json(result, kind, timings));
  } else {
    write_stdout(result_text(result, kind, timings));
  }
  return 0;
}

}  // namespace

int run_build(const Invocation& invocation) { return build(invocation, Kind::Build); }

int run_rebuild(const Invocation& invocation) { return build(invocation, Kind::Rebuild); }

}  // namespace karapace::cli
