// SPDX-License-Identifier: Apache-2.0
// explain: which inputs make two environments, locks or manifests two identities.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "commands/commands.hpp"
#include "context.hpp"
#include "exit_code.hpp"
#include "karapace/schema/lock_diff.hpp"
#include "output.hpp"
#include "pager.hpp"
#include "terminal.hpp"

namespace karapace::cli {

namespace {

constexpr std::size_t kMaxText = 4096;
constexpr std::size_t kMaxShown = 20;  // of what one input brought along: a new base moves hundreds

std::string shown(const std::string& text) { return printable(text, kMaxText); }

Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(shown(text)); }

Json changes_json(const std::vector<InputChange>& changes) {
  Json list = Json::array();
  for (const InputChange& change : changes) {
    Json fields = Json::array();
    for (const FieldChange& field : change.fields)
      fields.push_back(
          {{"field", field.field}, {"from", text_or_null(field.from)}, {"to", text_or_null(field.to)}});
    list.push_back({{"change", to_string(change.sign)},
                    {"what", change.what},
                    {"name", text_or_null(change.name)},
                    {"identity", change.identity},
                    {"fields", std::move(fields)},
                    {"includes", changes_json(change.includes)}});
  }
  return list;
}

Json source_json(const core::LockSource& source) {
  return {{"kind", core::to_string(source.kind)},
          {"label", shown(source.label)},
          {"env_id", text_or_null(source.lock.env_id)}};
}

std::string sign_of(const InputChange& change, bool colour) {
  switch (change.sign) {
    case ChangeSign::Added:
      return coloured("+", "32", colour);
    case ChangeSign::Removed:
      return coloured("-", "31", colour);
    case ChangeSign::Changed:
      break;
  }
  return coloured("~", "33", colour);
}

std::string title_of(const InputChange& change) {
  if (change.what == "policy") return change.name;
  if (change.what == "dependencies") return "packages that one of these needs; the locks do not say which";
  if (change.what == "relocated") return "the same packages in other places";
  if (change.what == "dependency-layer") return "another result of the same inputs: dependency layer";
  if (change.what == "format") return "format of the lock";
  return change.name.empty() ? change.what : fmt::format("{} {}", change.what, shown(change.name));
}

std::string field_text(const InputChange& change, const FieldChange& field) {
  const bool nameless = field.field == "value" || field.field == "version";
  const std::string label = nameless ? "" : field.field + " ";
  if (change.sign == ChangeSign::Added) return label + shown(field.to);
  if (change.sign == ChangeSign::Removed) return label + shown(field.from);
  const auto value = [](const std::string& text) {
    return text.empty() ? std::string("(none)") : shown(text);
  };
  return fmt::format("{}{} -> {}", label, value(field.from), value(field.to));
}

void describe(const std::vector<InputChange>& changes, std::size_t depth, bool colour, std::string& text) {
  const std::string indent(2 + 4 * depth, ' ');
  std::size_t count = 0;
  for (const InputChange& change : changes) {
    if (depth > 0 && ++count > kMaxShown) {
      text += fmt::format("{}... and {} more; --json has them all\n", indent, changes.size() - kMaxShown);
      return;
    }
    text += fmt::format("{}{} {}", indent, sign_of(change, colour), title_of(change));
    const char* separator = " ";
    for (const FieldChange& field : change.fields) {
      text += separator + field_text(change, field);
      separator = ", ";
    }
    text += '\n';
    describe(change.includes, depth + 1, colour, text);
  }
}

std::string label_of(const core::LockSource& source) {
  if (source.lock.short_id.empty()) return shown(source.label);
  return fmt::format("{} ({})", shown(source.label), source.lock.short_id);
}

std::string report(const core::LockSource& a, const core::LockSource& b,
                   const std::vector<InputChange>& changes, bool colour) {
  const auto rest = std::ranges::find_if(changes, [](const InputChange& change) { return !change.identity; });
  const std::vector<InputChange> moving(changes.begin(), rest);
  const std::vector<InputChange> others(rest, changes.end());
  std::string text;
  if (moving.empty()) {
    text = fmt::format("{} and {} have the same inputs\n", label_of(a), label_of(b));
  } else {
    text = fmt::format("from {} to {}:\n", label_of(a), label_of(b));
    describe(moving, 0, colour, text);
  }
  if (!others.empty()) {
    text += "no part of the identity:\n";
    describe(others, 0, colour, text);
  }
  return text;
}

}  // namespace

int run_explain(const Invocation& invocation) {
  const core::Engine engine = open_engine(invocation, core::Access::Read, no_progress());
  const core::LockSource a = engine.find_lock(invocation.argument(0).value());
  const core::LockSource b = engine.find_lock(invocation.argument(1).value());
  const std::vector<InputChange> changes = compare_inputs(a.lock, b.lock);
  if (invocation.json()) {
    const bool same = std::ranges::none_of(changes, &InputChange::identity);
    print_json(OrderedJson(Json{{"a", source_json(a)},
                                {"b", source_json(b)},
                                {"changes", changes_json(changes)},
                                {"same_identity", same}}));
  } else {
    write_paged(report(a, b, changes, wants_colour(Stream::Out)));
  }
  return kSuccess;
}

}  // namespace karapace::cli
