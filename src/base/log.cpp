// SPDX-License-Identifier: Apache-2.0
#include "karapace/base/log.hpp"

#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "karapace/base/text.hpp"

namespace karapace::log {
namespace {

constexpr std::size_t kMaxLine = 8192;

std::atomic<Level> g_level{Level::Warn};

std::string_view name_of(Level level) noexcept {
  switch (level) {
    case Level::Trace:
      return "trace";
    case Level::Debug:
      return "debug";
    case Level::Info:
      return "info";
    case Level::Warn:
      return "warn";
    case Level::Error:
      return "error";
  }
  return "error";
}

}  // namespace

void set_level(Level level) noexcept { g_level.store(level, std::memory_order_relaxed); }

bool enabled(Level level) noexcept { return level >= g_level.load(std::memory_order_relaxed); }

void write(Level level, std::string_view text) {
  if (!enabled(level)) return;
  // Escaped, so that a file name cannot forge a line or drive the terminal.
  const std::string line = fmt::format("karapace: {}: {}\n", name_of(level), printable(text, kMaxLine));
  const int saved = errno;
  // Nobody can be told that telling failed.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
  errno = saved;
}

}  // namespace karapace::log
