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

/// Bytes up to and with the last newline.
std::size_t whole_part(std::string_view text) {
  const std::size_t newline = text.rfind('\n');
  return newline == std::string_view::npos ? 0 : newline + 1;
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
  std::string_view rest = std::string_view(text).substr(0, whole_part(text));
  for (std::size_t number = 1; !rest.empty(); ++number) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    try {
      result.snapshots.push_back(parse_snapshot_line(line, fmt::format("line {}", number)));
    } catch (const CorruptError& error) {
      result.bad.push_back({fmt::format("snapshots/{}, line {}", env_id, number), error.message()});
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
  const std::size_t end = whole_part(before);
  if (before.size() + lines.size() > kMaxFile)
    throw Error(ErrorCode::InvalidInput, what_of(env_id) + " fill their file",
                "Build its manifest under another name and go on there.");
  if (end < before.size()) cut(file, end);
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
  const std::size_t end = whole_part(text);
  if (end == 0) return;
  const std::size_t newline_before = end < 2 ? std::string::npos : text.rfind('\n', end - 2);
  const std::size_t begin = newline_before == std::string::npos ? 0 : newline_before + 1;
  try {
    const std::string_view line = std::string_view(text).substr(begin, end - begin - 1);
    if (parse_snapshot_line(line, what_of(env_id)).id != snapshot_id) return;
  } catch (const CorruptError&) {
    return;  // not ours: damage is never dropped
  }
  cut(*file, begin);
  sync_file(*file);
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
