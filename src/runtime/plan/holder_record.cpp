// SPDX-License-Identifier: Apache-2.0
#include "karapace/runtime/plan/holder_record.hpp"

#include <fcntl.h>

#include <charconv>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"

namespace karapace::runtime {
namespace {

constexpr std::size_t kMaxProcFile = 4096;
constexpr std::size_t kBootIdLength = 36;

/// Takes `prefix` and the number behind it off the front of `text`.
template <typename Number>
bool take(std::string_view& text, std::string_view prefix, Number& number) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

/// Field 22 of /proc/<pid>/stat, unless the process is about to go. The second field is the program's name in
/// parentheses and may contain anything.
std::optional<std::uint64_t> start_time_of(std::string_view stat) {
  const std::size_t name_begin = stat.find('(');
  const std::size_t name_end = stat.rfind(')');
  if (name_begin == std::string_view::npos || name_end == std::string_view::npos) return std::nullopt;
  if (stat.substr(name_begin + 1, name_end - name_begin - 1) == kLeavingName) return std::nullopt;
  stat.remove_prefix(name_end + 1);
  for (int field = 2; field < 22; ++field) {
    const std::size_t space = stat.find(' ');
    if (space == std::string_view::npos) return std::nullopt;
    stat.remove_prefix(space + 1);
  }
  std::uint64_t ticks = 0;
  if (!take(stat, "", ticks)) return std::nullopt;
  return ticks;
}

}  // namespace

std::string format_holder_record(const HolderRecord& record) {
  std::string text = "{\"pid\":" + std::to_string(record.pid) +
                     ",\"start_time\":" + std::to_string(record.start_time) + ",\"boot_id\":\"" +
                     record.boot_id + "\"}";
  text.resize(kHolderRecordBytes - 1, ' ');
  text += '\n';
  return text;
}

std::optional<HolderRecord> parse_holder_record(std::string_view text) {
  if (text.size() != kHolderRecordBytes || text.back() != '\n') return std::nullopt;
  HolderRecord record;
  if (!take(text, "{\"pid\":", record.pid) || record.pid <= 0) return std::nullopt;
  if (!take(text, ",\"start_time\":", record.start_time)) return std::nullopt;
  constexpr std::string_view kBootId = ",\"boot_id\":\"";
  if (!text.starts_with(kBootId)) return std::nullopt;
  text.remove_prefix(kBootId.size());
  record.boot_id = text.substr(0, kBootIdLength);
  if (record.boot_id.size() != kBootIdLength || !text.substr(kBootIdLength).starts_with("\"}"))
    return std::nullopt;
  return record;
}

std::optional<HolderRecord> observe_process(pid_t pid) {
  const auto file = [](const std::string& path) -> std::optional<std::string> {
    try {
      return read_all(open_path(path, O_RDONLY), kMaxProcFile);
    } catch (const SystemError&) {
      return std::nullopt;  // it ended
    }
  };
  const auto stat = file("/proc/" + std::to_string(pid) + "/stat");
  const auto boot_id = file("/proc/sys/kernel/random/boot_id");
  if (!stat || !boot_id) return std::nullopt;
  const auto start_time = start_time_of(*stat);
  if (!start_time) return std::nullopt;
  return HolderRecord{pid, *start_time, boot_id->substr(0, kBootIdLength)};
}

}  // namespace karapace::runtime
