// SPDX-License-Identifier: Apache-2.0
// commit, snapshots, restore.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string>

#include "commands/commands.hpp"
#include "context.hpp"
#include "exit_code.hpp"
#include "output.hpp"
#include "progress_renderer.hpp"
#include "size_text.hpp"
#include "terminal.hpp"

namespace karapace::cli {

namespace {

constexpr std::size_t kShortId = 12;

OrderedJson optional_json(const std::optional<std::string>& value) {
  return value ? OrderedJson(*value) : OrderedJson(nullptr);
}

/// `hash`, `parent`, `restore_hash` and `tar_hash` are what older scripts read: two names for one thing each.
OrderedJson snapshot_json(const store::SnapshotRecord& snapshot, const std::optional<std::string>& head) {
  return OrderedJson(Json{{"bytes", snapshot.bytes},
                          {"created_at", snapshot.created_at},
                          {"entries", snapshot.entries},
                          {"hash", snapshot.layer},
                          {"head", snapshot.id == head},
                          {"id", snapshot.id},
                          {"kind", store::to_string(snapshot.kind)},
                          {"layers", snapshot.layers},
                          {"message", snapshot.message},
                          {"parent", optional_json(snapshot.parent)},
                          {"restore_hash", snapshot.id},
                          {"tar_hash", snapshot.layer}});
}

void append_padded(std::string& text, std::string_view word, std::size_t width) {
  if (word.size() < width) text.append(width - word.size(), ' ');
  text += word;
}

/// Put together by hand: a list of hundreds is to take no longer than a list of one.
void append_row(std::string& text, const store::SnapshotRecord& snapshot, bool current, bool colour) {
  constexpr std::size_t kSizeWidth = 9;
  const bool safety = snapshot.kind == store::SnapshotKind::Safety;
  std::string time = printable(std::string_view(snapshot.created_at).substr(0, 19));
  std::ranges::replace(time, 'T', ' ');
  text += current ? "* " : "  ";
  text += coloured(std::string_view(snapshot.id).substr(0, kShortId), current ? "1;33" : "33", colour);
  text += "  ";
  text += time;
  text += "  ";
  append_padded(text, size_text(snapshot.bytes), kSizeWidth);
  text += safety ? "  (" : "  ";
  text += printable(snapshot.message);
  text += safety ? ")\n" : "\n";
}

}  // namespace

int run_commit(const Invocation& invocation) {
  ProgressRenderer progress(progress_style(invocation.json()), wants_colour(Stream::Err));
  core::Engine engine = open_engine(invocation, core::Access::Write, progress);
  const core::EnvironmentView environment = find_environment(engine, invocation);
  const core::CommitResult result = engine.commit(environment, invocation.value("message").value_or(""));
  progress.finish(ProgressRenderer::Outcome::Success);
  const std::string name = display_name(environment.record);
  if (invocation.json()) {
    OrderedJson json = Json{{"changed", result.changed},
                            {"env_id", environment.record.env_id},
                            {"snapshot_hash", optional_json(result.head)}};
    if (result.snapshot) json["snapshot"] = snapshot_json(*result.snapshot, result.head);
    print_json(json);
  } else if (!result.changed) {
    write_stdout(result.head ? fmt::format("nothing changed in {} since snapshot {}\n", name,
                                           result.head->substr(0, kShortId))
                             : fmt::format("nothing changed in {} since it was built\n", name));
  } else {
    write_stdout(fmt::format("{}\n{}: {} in {} entries\n", result.snapshot->id, name,
                             size_text(result.snapshot->bytes), result.snapshot->entries));
  }
  return kSuccess;
}

int run_snapshots(const Invocation& invocation) {
  const core::Engine engine = open_engine(invocation, core::Access::Read, no_progress());
  const core::EnvironmentView environment = find_environment(engine, invocation);
  const std::optional<std::string>& head = environment.record.head;
  const bool colour = wants_colour(Stream::Out);
  std::string table;
  OrderedJson array = OrderedJson::array();
  engine.visit_snapshots(environment, invocation.json() ? store::Stacks::Read : store::Stacks::Skip,
                         {.snapshot =
                              [&](const store::SnapshotRecord& snapshot, const store::LinePlace&) {
                                if (invocation.json()) return array.push_back(snapshot_json(snapshot, head));
                                append_row(table, snapshot, snapshot.id == head, colour);
                              },
                          .bad =
                              [](const store::BadRecord& bad) {
                                write_stderr(fmt::format("karapace: unreadable snapshot, {}: {}\n",
                                                         printable(bad.file), printable(bad.reason, 400)));
                              }});
  if (invocation.json()) {
    OrderedJson json;
    json["env_id"] = environment.record.env_id;
    json["snapshots"] = std::move(array);
    print_json(json);
  } else if (table.empty()) {
    write_stdout(
        fmt::format("{} has no snapshots; 'karapace commit' makes one\n", display_name(environment.record)));
  } else {
    write_stdout(table);
  }
  return kSuccess;
}

int run_restore(const Invocation& invocation) {
  ProgressRenderer progress(progress_style(invocation.json()), wants_colour(Stream::Err));
  core::Engine engine = open_engine(invocation, core::Access::Write, progress);
  const core::EnvironmentView environment = find_environment(engine, invocation);
  const bool discard = invocation.has("discard");
  if (discard && !invocation.has("yes") && is_terminal(Stream::In) && is_terminal(Stream::Err) &&
      !confirm(fmt::format("Lose what was written in {} since the last commit? [y/N] ",
                           display_name(environment.record)))) {
    throw Error(ErrorCode::Conflict, "nothing was restored: you did not agree");
  }
  const core::RestoreResult result =
      engine.restore(environment, invocation.argument(1).value(), {.discard = discard});
  progress.finish(ProgressRenderer::Outcome::Success);
  if (invocation.json()) {
    print_json(Json{{"env_id", environment.record.env_id},
                    {"follows_lock", result.follows_lock ? Json(*result.follows_lock) : Json(nullptr)},
                    {"restored_snapshot", result.snapshot.id},
                    {"safety_snapshot", optional_json(result.safety)}});
    return kSuccess;
  }
  std::string text = fmt::format("{} is as it was at snapshot {}\n", display_name(environment.record),
                                 result.snapshot.id.substr(0, kShortId));
  if (result.follows_lock == false)
    text +=
        "base and packages are those of the snapshot, not of its lock; karapace build goes back to those\n";
  if (result.safety)
    text += fmt::format("what was not committed is snapshot {}\n", result.safety->substr(0, kShortId));
  write_stdout(text);
  return kSuccess;
}

}  // namespace karapace::cli
