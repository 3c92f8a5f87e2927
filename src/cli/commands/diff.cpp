// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string>

#include "commands/commands.hpp"
#include "context.hpp"
#include "exit_code.hpp"
#include "output.hpp"
#include "pager.hpp"
#include "terminal.hpp"

namespace karapace::cli {

namespace {

using store::ChangeKind;

constexpr std::size_t kMaxPath = 4 * 4096;  // every byte of a long one escaped

std::string shown(const std::string& path) { return path.empty() ? "." : printable(path, kMaxPath); }

std::string_view name_of(ChangeKind kind) {
  switch (kind) {
    case ChangeKind::Added:
      return "added";
    case ChangeKind::Modified:
      return "modified";
    case ChangeKind::Removed:
      return "removed";
  }
  return "modified";
}

OrderedJson diff_json(const std::string& env_id, const std::vector<store::TreeChange>& changes) {
  OrderedJson json;
  json["env_id"] = env_id;
  for (const ChangeKind kind : {ChangeKind::Added, ChangeKind::Modified, ChangeKind::Removed}) {
    OrderedJson paths = OrderedJson::array();
    for (const store::TreeChange& change : changes) {
      if (change.kind == kind) paths.push_back(shown(change.path));
    }
    json[std::string(name_of(kind))] = std::move(paths);
  }
  json["has_drift"] = !changes.empty();
  OrderedJson all = OrderedJson::array();
  for (const store::TreeChange& change : changes)
    all.push_back(OrderedJson(
        Json{{"change", name_of(change.kind)}, {"path", shown(change.path)}, {"what", change.what}}));
  json["changes"] = std::move(all);
  return json;
}

std::string describe(const std::string& name, const std::vector<store::TreeChange>& changes, bool colour) {
  std::string text = fmt::format("changes in {}:\n", name);
  for (const store::TreeChange& change : changes) {
    const char* sign = "~";
    const char* sgr = "33";
    if (change.kind == ChangeKind::Added) {
      sign = "+";
      sgr = "32";
    } else if (change.kind == ChangeKind::Removed) {
      sign = "-";
      sgr = "31";
    }
    std::string line = fmt::format("{} {}", sign, shown(change.path));
    // That content changed is what everybody expects of "modified".
    const bool plain = change.what.empty() || (change.what.size() == 1 && change.what.front() == "content");
    if (!plain) line += fmt::format(" ({})", fmt::join(change.what, ", "));
    text += "  " + coloured(line, sgr, colour) + "\n";
  }
  return text;
}

}  // namespace

int run_diff(const Invocation& invocation) {
  const core::Engine engine = open_engine(invocation, core::Access::Read, no_progress());
  const core::EnvironmentView environment = find_environment(engine, invocation);
  const std::vector<store::TreeChange> changes = engine.diff(environment);
  if (invocation.json()) {
    print_json(diff_json(environment.record.env_id, changes));
  } else if (changes.empty()) {
    write_stdout(fmt::format("no changes in {} since it was {}\n", display_name(environment.record),
                             environment.record.head ? "committed" : "built"));
  } else {
    write_paged(describe(display_name(environment.record), changes, wants_colour(Stream::Out)));
  }
  return kSuccess;
}

}  // namespace karapace::cli
