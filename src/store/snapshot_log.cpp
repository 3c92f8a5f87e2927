// SPDX-License-Identifier: Apache-2.0
// Appending never touches a line that is whole. A write that a crash cut off leaves a last line without its
// newline: nobody was told of it, so readers ignore it and the next append cuts it off.
#include "karapace/store/snapshot_log.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "karapace/base/digest.hpp"
#include "karapace/base/durable.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/fault.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "snapshot_line.hpp"

namespace karapace::store {
namespace {

constexpr const char* kDirectory = "snapshots";
constexpr std::size_t kMaxFile = 64 * 1024 * 1024;

std::optional<UniqueFd> open_directory_of_logs(const StoreLayout& layout) {
  return try_open_beneath(layout.store(), kDirectory, O_RDONLY | O_DIRECTORY);
}

std::string what_of(const std::string& env_id) {
  return "the snapshots of environment " + env_id.substr(0, 12);
}

void cut(FdRef file, std::size_t size) {
  if (fault::injected("truncate") || ::ftruncate(file.get(), static_cast<off_t>(size)) != 0)
    throw_errno("shorten the list of snapshots");
}

std::string read_log(FdRef file, const std::string& env_id) {
  if (!S_ISREG(stat_fd(file).st_mode))
    throw CorruptError(what_of(env_id), "a regular file", "something else");
  if (::lseek(file.get(), 0, SEEK_SET) < 0) throw_errno("read the list of snapshots");
  try {
    return read_all(file, kMaxFile);
  } catch (const SystemError&) {
    throw;
  } catch (const Error& error) {
    throw CorruptError(what_of(env_id), "at most 64 MiB", error.message());
  }
}

struct Line {
  std::size_t begin = 0;
  std::size_t end = 0;  // position of what closes it
  std::optional<SnapshotRecord> snapshot;
  std::string fault;   // if there is no snapshot
  bool closed = true;  // by a newline, as opposed to a byte that should be one
};

Line parse_line(std::string_view text, std::size_t begin, std::size_t end) {
  Line line{.begin = begin, .end = end, .snapshot = {}, .fault = {}};
  try {
    line.snapshot = parse_snapshot_line(text.substr(begin, end - begin), "its text");
  } catch (const CorruptError& error) {
    line.fault = error.message();
  }
  return line;
}

/// A line whose newline became something else is still whole, and so is what follows it.
void add_lines(std::string_view text, std::size_t begin, std::size_t end, std::vector<Line>& lines) {
  constexpr std::string_view kBegin = "{\"id\":\"";
  Line whole = parse_line(text, begin, end);
  for (std::size_t next = begin; !whole.snapshot;) {
    next = text.substr(0, end).find(kBegin, next + 1);
    if (next == std::string_view::npos) break;
    Line first = parse_line(text, begin, next - 1);
    if (!first.snapshot) continue;
    first.closed = false;
    lines.push_back(std::move(first));
    begin = next;
    whole = parse_line(text, begin, end);
  }
  lines.push_back(std::move(whole));
}

/// What follows the last newline was never reported, and is left out; unless it is one byte more than a line:
/// then its newline is damaged.
std::vector<Line> parse_lines(std::string_view text) {
  std::vector<Line> lines;
  std::size_t begin = 0;
  for (std::size_t newline = text.find('\n'); newline != std::string_view::npos;
       newline = text.find('\n', begin)) {
    add_lines(text, begin, newline, lines);
    begin = newline + 1;
  }
  if (begin == text.size()) return lines;
  Line last = parse_line(text, begin, text.size() - 1);
  if (!last.snapshot) return lines;
  last.closed = false;
  lines.push_back(std::move(last));
  return lines;
}

/// Bytes up to and with the end of the last line.
std::size_t whole_part(const std::vector<Line>& lines) { return lines.empty() ? 0 : lines.back().end + 1; }

void close_lines(FdRef file, const std::vector<Line>& lines) {
  for (const Line& line : lines) {
    if (line.closed) continue;
    if (::lseek(file.get(), static_cast<off_t>(line.end), SEEK_SET) < 0)
      throw_errno("mend the list of snapshots");
    write_all(file, "\n");
  }
}

}  // namespace

SnapshotLog::SnapshotLog(const StoreLayout& layout) : layout_(layout) {}

SnapshotList SnapshotLog::read(const std::string& env_id) const {
  check_env_id(env_id);
  SnapshotList result;
  const std::optional<UniqueFd> directory = open_directory_of_logs(layout_);
  if (!directory) return result;
  std::optional<UniqueFd> file;
  try {
    file = try_open_beneath(*directory, env_id, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (const SystemError& error) {
    if (error.error_number() != ELOOP && error.error_number() != ENXIO) throw;
    throw CorruptError(what_of(env_id), "a regular file", error.message());
  }
  if (!file) return result;
  const std::string text = read_log(*file, env_id);
  std::size_t number = 0;
  for (Line& line : parse_lines(text)) {
    const std::string place = fmt::format("snapshots/{}, line {}", env_id, ++number);
    if (!line.closed) result.bad.push_back({place, "the end of the line is damaged"});
    if (line.snapshot) {
      result.snapshots.push_back(std::move(*line.snapshot));
    } else {
      result.bad.push_back({place, line.fault});
    }
  }
  return result;
}

UniqueFd SnapshotLog::open_for_writing(const std::string& env_id, bool& is_new) {
  check_env_id(env_id);
  ensure_directory_at(layout_.store(), kDirectory, 0700);
  const UniqueFd directory = open_directory(layout_.store(), kDirectory);
  if (auto file = try_open_beneath(directory, env_id, O_RDWR | O_NOFOLLOW | O_NONBLOCK)) {
    is_new = false;
    return std::move(*file);
  }
  is_new = true;
  return open_beneath(directory, env_id, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600);
}

void SnapshotLog::append(const std::string& env_id, const std::vector<SnapshotRecord>& snapshots) {
  std::string lines;
  for (const SnapshotRecord& snapshot : snapshots) lines += make_snapshot_line(snapshot);
  if (lines.empty()) return;
  bool is_new = false;
  const UniqueFd file = open_for_writing(env_id, is_new);
  const std::string before = read_log(file, env_id);
  const std::vector<Line> known = parse_lines(before);
  const std::size_t end = whole_part(known);
  if (before.size() + lines.size() > kMaxFile)
    throw Error(ErrorCode::InvalidInput, what_of(env_id) + " fill their file",
                "Build its manifest under another name and go on there.");
  if (end < before.size()) cut(file, end);
  close_lines(file, known);
  if (::lseek(file.get(), static_cast<off_t>(end), SEEK_SET) < 0) throw_errno("add to the list of snapshots");
  try {
    write_all(file, lines);
    sync_file(file);
  } catch (const Error&) {
    try {
      cut(file, end);
    } catch (const Error&) {
      // It has no newline, or the caller takes it back: drop_last.
    }
    throw;
  }
  if (!is_new) return;
  sync_directory(open_directory(layout_.store(), kDirectory));
  sync_directory(layout_.store());
}

void SnapshotLog::drop_last(const std::string& env_id, const std::string& snapshot_id) {
  check_env_id(env_id);
  const std::optional<UniqueFd> directory = open_directory_of_logs(layout_);
  if (!directory) return;
  const auto file = try_open_beneath(*directory, env_id, O_RDWR | O_NOFOLLOW | O_NONBLOCK);
  if (!file) return;
  const std::string text = read_log(*file, env_id);
  const std::vector<Line> lines = parse_lines(text);
  // Damage is never dropped.
  if (lines.empty() || !lines.back().snapshot || lines.back().snapshot->id != snapshot_id) return;
  cut(*file, lines.back().begin);
  sync_file(*file);
}

bool SnapshotLog::mend(const std::string& env_id) {
  check_env_id(env_id);
  const std::optional<UniqueFd> directory = open_directory_of_logs(layout_);
  if (!directory) return false;
  const auto file = try_open_beneath(*directory, env_id, O_RDWR | O_NOFOLLOW | O_NONBLOCK);
  if (!file) return false;
  const std::vector<Line> lines = parse_lines(read_log(*file, env_id));
  if (std::ranges::all_of(lines, &Line::closed)) return false;
  close_lines(*file, lines);
  sync_file(*file);
  return true;
}

void SnapshotLog::remove(const std::string& env_id) {
  check_env_id(env_id);
  const std::optional<UniqueFd> directory = open_directory_of_logs(layout_);
  if (!directory || !try_unlink_at(*directory, env_id)) return;
  sync_directory(*directory);
}

std::vector<std::string> SnapshotLog::environments(std::vector<BadRecord>* bad) const {
  std::vector<std::string> ids;
  const std::optional<UniqueFd> directory = open_directory_of_logs(layout_);
  if (!directory) return ids;
  for (DirectoryEntry& entry : list_directory(*directory)) {
    if (Digest::is_valid(entry.name)) {
      ids.push_back(std::move(entry.name));
    } else if (bad != nullptr) {
      bad->push_back({"snapshots/" + printable(entry.name), "its name is not an environment id"});
    }
  }
  return ids;
}

}  // namespace karapace::store
