// SPDX-License-Identifier: Apache-2.0
// env/<id>/run/holder: which process holds an environment's namespaces.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace karapace::runtime {

/// The three together name one process for ever: a number is used again, but not with the same start time
/// after the same boot.
struct HolderRecord {
  pid_t pid = 0;
  std::uint64_t start_time = 0;  // clock ticks since boot, from /proc/<pid>/stat
  std::string boot_id;
  bool operator==(const HolderRecord&) const = default;
};

/// Every record has this size, so that it is written in place and no block is ever freed or allocated.
inline constexpr std::size_t kHolderRecordBytes = 128;
/// {"pid":..,"start_time":..,"boot_id":".."}, spaces, and a newline.
[[nodiscard]] std::string format_holder_record(const HolderRecord& record);
/// Nothing for anything else, such as half of one: it is just being written.
[[nodiscard]] std::optional<HolderRecord> parse_holder_record(std::string_view text);

/// What a holder calls itself (PR_SET_NAME) from when it has decided to end.
inline constexpr const char* kLeavingName = "karapace-gone";
/// What /proc says of a process now; nothing if there is none of that number, or it calls itself
/// `kLeavingName`. Needs the host's /proc.
[[nodiscard]] std::optional<HolderRecord> observe_process(pid_t pid);

}  // namespace karapace::runtime
