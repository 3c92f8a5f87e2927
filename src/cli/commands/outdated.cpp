// SPDX-License-Identifier: Apache-2.0
// outdated: what a new resolution would move.
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "commands/commands.hpp"
#include "context.hpp"
#include "exit_code.hpp"
#include "output.hpp"
#include "pager.hpp"
#include "progress_renderer.hpp"
#include "terminal.hpp"

namespace karapace::cli {

namespace {

constexpr std::size_t kMaxText = 4096;

Json text_or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(printable(text, kMaxText));
}

Json items_json(const std::vector<core::OutdatedItem>& items) {
  Json list = Json::array();
  for (const core::OutdatedItem& item : items) {
    list.push_back({{"kind", item.kind},
                    {"name", printable(item.name, kMaxText)},
                    {"arch", text_or_null(item.arch)},
                    {"locked", text_or_null(item.locked)},
                    {"available", text_or_null(item.available)},
                    {"locked_sha256", text_or_null(item.locked_sha256)},
                    {"available_sha256", text_or_null(item.available_sha256)},
                    {"older", item.older}});
  }
  return list;
}

std::string table(const std::vector<core::OutdatedItem>& items) {
  const auto shown = [](const std::string& version) {
    return version.empty() ? std::string("-") : printable(version, kMaxText);
  };
  std::size_t names = 4;
  std::size_t versions = 6;
  for (const core::OutdatedItem& item : items) {
    names = std::max(names, printable(item.name, kMaxText).size());
    versions = std::max(versions, shown(item.locked).size());
  }
  std::string text = fmt::format("{:<{}}  {:<{}}  AVAILABLE\n", "NAME", names, "LOCKED", versions);
  for (const core::OutdatedItem& item : items) {
    std::string note;
    if (item.kind != "package") note = "  (base)";
    if (item.locked == item.available) note += "  (the same version with other content)";
    if (item.older) note += "  (older: an index may be out of date)";
    text += fmt::format("{:<{}}  {:<{}}  {}{}\n", printable(item.name, kMaxText), names, shown(item.locked),
                        versions, shown(item.available), note);
  }
  return text;
}

}  // namespace

int run_outdated(const Invocation& invocation) {
  ProgressRenderer progress(progress_style(invocation.json()), wants_colour(Stream::Err));
  core::Engine engine = open_engine(invocation, core::Access::Write, progress);
  const core::OutdatedResult result = engine.outdated(invocation.argument(0).value_or("karapace.toml"));
  progress.finish(ProgressRenderer::Outcome::Success);
  const bool moved = !result.items.empty();
  if (invocation.json()) {
    print_json(OrderedJson(Json{{"env_id", result.env_id},
                                {"lock", printable(result.lock_path, kMaxText)},
                                {"outdated", items_json(result.items)},
                                {"status", moved ? "outdated" : "current"}}));
  } else {
    write_stdout(moved ? table(result.items) : std::string("everything in the lock is current\n"));
  }
  return moved && invocation.has("check") ? kFailure : kSuccess;
}

}  // namespace karapace::cli
