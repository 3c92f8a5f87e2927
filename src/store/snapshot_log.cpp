// SPDX-License-Identifier: Apache-2.0
// Appending never touches a line that is whole. A write that a crash cut off leaves a last line without its
// newline: nobody was told of it, so readers ignore it and the next append cuts it off.
#include "karapace/store/snapshot_log.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <span>

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
constexpr std::string_view kBegin = "{\"id\":\"";  // of a line

std::optional<UniqueFd> open_directory_of_logs(const StoreLayout& layout) {
  return try_open_beneath(layout.store(), kDirectory, O_RDONLY | O_DIRECTORY);
}

std::string what_of(const std::string& env_id) {
  return "the snapshots of environment " + env_id.substr(0, 12);
}

std::string place_of(const std::string& env_id, std::size_t line) {
  return fmt::format("snapshots/{}, line {}", env_id, line);
}

void cut(FdRef file, std::size_t size) {
  if (fault::injected("truncate") || ::ftruncate(file.get(), static_cast<off_t>(size)) != 0)
    throw_errno("shorten the list of snapshots");
}

struct Line {
  std::string_view text;   // without its newline; only while it is visited
  std::size_t begin = 0;   // in the file
  std::size_t end = 0;     // position of what closes it
  std::size_t number = 0;  // from 1
  std::optional<SnapshotRecord> snapshot;
  std::string fault;   // if there is no snapshot
  bool closed = true;  // by a newline, as opposed to a byte that should be one
};

using LineVisitor = std::function<void(Line&)>;

/// What of a file is looked at.
struct Wanted {
  Stacks stacks = Stacks::Read;
  std::string text;  // lines without it are passed over: checking a line costs more than searching it
};

Line parse_line(std::string_view text, std::size_t offset, Stacks stacks) {
  Line line{
      .text = text, .begin = offset, .end = offset + text.size(), .number = 0, .snapshot = {}, .fault = {}};
  try {
    line.snapshot = parse_snapshot_line(text, "its text", stacks);
  } catch (const CorruptError& error) {
    line.fault = error.message();
  }
  return line;
}

/// What stands between two newlines. A line whose newline became something else is still whole, and so is
/// what follows it.
void visit_lines(std::string_view text, std::size_t offset, Stacks stacks, const LineVisitor& visit) {
  Line whole = parse_line(text, offset, stacks);
  std::size_t begin = 0;
  for (std::size_t next = 0; !whole.snapshot;) {
    next = text.find(kBegin, next + 1);
    if (next == std::string_view::npos) break;
    Line first = parse_line(text.substr(begin, next - 1 - begin), offset + begin, stacks);
    if (!first.snapshot) continue;
    first.closed = false;
    visit(first);
    begin = next;
    whole = parse_line(text.substr(begin), offset + begin, stacks);
  }
  visit(whole);
}

/// What follows the last newline was never reported, and is left out; unless it is one byte more than a line:
/// then its newline is damaged.
void visit_rest(std::string_view text, std::size_t offset, const LineVisitor& visit) {
  if (text.empty()) return;
  Line last = parse_line(text.substr(0, text.size() - 1), offset, Stacks::Read);
  if (!last.snapshot) return;
  last.closed = false;
  visit(last);
}

std::size_t read_at(FdRef file, std::span<char> into, std::size_t offset) {
  ssize_t got = 0;
  do got = ::pread(file.get(), into.data(), into.size(), static_cast<off_t>(offset));
  while (got < 0 && errno == EINTR);
  if (got < 0) throw_errno("read the list of snapshots");
  return static_cast<std::size_t>(got);
}

/// A piece of the file in memory at a time. Returns the size of the file.
std::size_t visit_file(FdRef file, const std::string& env_id, const Wanted& wanted,
                       const LineVisitor& visit) {
  if (!S_ISREG(stat_fd(file).st_mode))
    throw CorruptError(what_of(env_id), "a regular file", "something else");
  std::size_t lines = 0;
  const LineVisitor numbered = [&](Line& line) {
    line.number = ++lines;
    visit(line);
  };
  std::string buffer(kMaxSnapshotLineBytes, '\0');
  std::size_t offset = 0;  // of the buffer in the file
  for (std::size_t used = 0;;) {
    if (used == buffer.size()) buffer.resize(2 * used);  // the newlines of several lines are damaged
    const std::size_t count = read_at(file, std::span(buffer).subspan(used), offset + used);
    if (offset + used + count > kMaxFile) throw CorruptError(what_of(env_id), "at most 64 MiB", "more");
    const std::string_view text(buffer.data(), used + count);
    if (count == 0) {
      if (text.contains(wanted.text)) visit_rest(text, offset, numbered);
      return offset + used;
    }
    std::size_t begin = 0;
    for (std::size_t newline = text.find('\n', used); newline != std::string_view::npos;
         newline = text.find('\n', begin)) {
      const std::string_view line = text.substr(begin, newline - begin);
      if (line.contains(wanted.text)) {
        visit_lines(line, offset + begin, wanted.stacks, numbered);
      } else {
        ++lines;
      }
      begin = newline + 1;
    }
    used = text.size() - begin;
    std::memmove(buffer.data(), buffer.data() + begin, used);
    offset += begin;
  }
}

/// Where the lines of a file end, and what else a writer must know of them.
struct Ends {
  std::size_t file = 0;
  std::size_t lines = 0;          // with the end of the last line
  std::vector<std::size_t> open;  // positions of damaged ends
  std::size_t last_begin = 0;
  std::optional<std::string> last_id;  // nothing if the last line is damaged
};

Ends find_ends(FdRef file, const std::string& env_id) {
  Ends ends;
  ends.file = visit_file(file, env_id, {.stacks = Stacks::Skip, .text = {}}, [&](Line& line) {
    ends.lines = line.end + 1;
    if (!line.closed) ends.open.push_back(line.end);
    ends.last_begin = line.begin;
    ends.last_id.reset();
    if (line.snapshot) ends.last_id = std::move(line.snapshot->id);
  });
  return ends;
}

void close_lines(FdRef file, const Ends& ends) {
  for (const std::size_t end : ends.open) {
    if (::lseek(file.get(), static_cast<off_t>(end), SEEK_SET) < 0) throw_errno("mend the list of snapshots");
    write_all(file, "\n");
  }
}

}  // namespace

SnapshotLog::SnapshotLog(const StoreLayout& layout) : layout_(layout) {}

std::optional<UniqueFd> SnapshotLog::open_for_reading(const std::string& env_id) const {
  check_env_id(env_id);
  const std::optional<UniqueFd> directory = open_directory_of_logs(layout_);
  if (!directory) return std::nullopt;
  try {
    return try_open_beneath(*directory, env_id, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (const SystemError& error) {
    if (error.error_number() != ELOOP && error.error_number() != ENXIO) throw;
    throw CorruptError(what_of(env_id), "a regular file", error.message());
  }
}

void SnapshotLog::visit(const std::string& env_id, Stacks stacks, const SnapshotVisitor& visitor) const {
  const std::optional<UniqueFd> file = open_for_reading(env_id);
  if (!file) return;
  visit_file(*file, env_id, {.stacks = stacks, .text = {}}, [&](Line& line) {
    if (!line.closed) visitor.bad({place_of(env_id, line.number), "the end of the line is damaged"});
    if (!line.snapshot) return visitor.bad({place_of(env_id, line.number), std::move(line.fault)});
    visitor.snapshot(*line.snapshot, {line.begin, line.end, line.number});
  });
}

SnapshotList SnapshotLog::read(const std::string& env_id, Stacks stacks) const {
  SnapshotList list;
  visit(env_id, stacks,
        {.snapshot =
             [&](SnapshotRecord& snapshot, const LinePlace& place) {
               list.snapshots.push_back(std::move(snapshot));
               list.places.push_back(place);
             },
         .bad = [&](BadRecord bad) { list.bad.push_back(std::move(bad)); }});
  return list;
}

SnapshotList SnapshotLog::with_id(const std::string& env_id, std::string_view prefix) const {
  SnapshotList list;
  const std::optional<UniqueFd> file = open_for_reading(env_id);
  if (!file) return list;
  const Wanted wanted{.stacks = Stacks::Skip, .text = std::string(kBegin).append(prefix)};
  visit_file(*file, env_id, wanted, [&](Line& line) {
    if (!line.snapshot || !line.snapshot->id.starts_with(prefix)) return;
    list.snapshots.push_back(std::move(*line.snapshot));
    list.places.push_back({line.begin, line.end, line.number});
  });
  return list;
}

std::optional<SnapshotRecord> SnapshotLog::whole(const std::string& env_id, const SnapshotList& list,
                                                 std::size_t index) const {
  const std::optional<UniqueFd> file = open_for_reading(env_id);
  if (!file) return std::nullopt;
  const LinePlace& place = list.places.at(index);
  std::string line(place.end - place.begin, '\0');
  if (read_at(*file, line, place.begin) != line.size()) return std::nullopt;
  SnapshotRecord found = parse_snapshot_line(line, place_of(env_id, place.number));
  if (found.id != list.snapshots.at(index).id) return std::nullopt;
  return found;
}

namespace {

/// A file with another name, in a copy of the store that shares its files or elsewhere, is not written to: it
/// gets a copy.
std::optional<UniqueFd> try_open_own(FdRef directory, const std::string& env_id) {
  auto file = try_open_beneath(directory, env_id, O_RDWR | O_NOFOLLOW | O_NONBLOCK);
  if (!file) return file;
  const struct stat info = stat_fd(*file);
  if (!S_ISREG(info.st_mode) || info.st_nlink == 1) return file;
  replace_file(directory, env_id, read_file_at(directory, env_id, kMaxFile));
  return try_open_beneath(directory, env_id, O_RDWR | O_NOFOLLOW | O_NONBLOCK);
}

}  // namespace

UniqueFd SnapshotLog::open_for_writing(const std::string& env_id, bool& is_new) {
  check_env_id(env_id);
  ensure_directory_at(layout_.store(), kDirectory, 0700);
  const UniqueFd directory = open_directory(layout_.store(), kDirectory);
  if (auto file = try_open_own(directory, env_id)) {
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
  const Ends ends = find_ends(file, env_id);
  if (ends.file + lines.size() > kMaxFile)
    throw Error(ErrorCode::InvalidInput, what_of(env_id) + " fill their file",
                "Build its manifest under another name and go on there.");
  if (ends.lines < ends.file) cut(file, ends.lines);
  close_lines(file, ends);
  if (::lseek(file.get(), static_cast<off_t>(ends.lines), SEEK_SET) < 0)
    throw_errno("add to the list of snapshots");
  try {
    write_all(file, lines);
    sync_file(file);
  } catch (const Error&) {
    try {
      cut(file, ends.lines);
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
  const auto file = try_open_own(*directory, env_id);
  if (!file) return;
  const Ends ends = find_ends(*file, env_id);
  // Damage is never dropped.
  if (ends.last_id != snapshot_id) return;
  cut(*file, ends.last_begin);
  sync_file(*file);
}

bool SnapshotLog::mend(const std::string& env_id) {
  check_env_id(env_id);
  const std::optional<UniqueFd> directory = open_directory_of_logs(layout_);
  if (!directory) return false;
  const auto file = try_open_own(*directory, env_id);
  if (!file) return false;
  const Ends ends = find_ends(*file, env_id);
  if (ends.open.empty()) return false;
  close_lines(*file, ends);
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
