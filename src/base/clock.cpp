// SPDX-License-Identifier: Apache-2.0
#include "karapace/base/clock.hpp"

#include <fmt/format.h>
#include <sys/random.h>

#include <cerrno>
#include <optional>

#include "karapace/base/error.hpp"
#include "karapace/base/text.hpp"

namespace karapace {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

/// Takes pieces from the front of a text; once one did not fit, everything after it fails, too.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  int number(std::size_t digits) {
    int value = 0;
    for (std::size_t i = 0; i < digits; ++i) value = value * 10 + digit().value_or(0);
    return value;
  }
  void literal(char expected) {
    if (!accept(expected)) ok_ = false;
  }
  bool accept(char expected) {
    if (rest_.empty() || rest_.front() != expected) return false;
    rest_.remove_prefix(1);
    return true;
  }
  nanoseconds fraction() {
    nanoseconds::rep value = 0;
    nanoseconds::rep unit = 100'000'000;
    do {
      value += unit * digit().value_or(0);
      unit /= 10;
    } while (ok_ && unit > 0 && !rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9');
    return nanoseconds(value);
  }
  [[nodiscard]] bool complete() const { return ok_ && rest_.empty(); }
  void fail() { ok_ = false; }

 private:
  std::optional<int> digit() {
    if (rest_.empty() || rest_.front() < '0' || rest_.front() > '9') {
      ok_ = false;
      return std::nullopt;
    }
    const int value = rest_.front() - '0';
    rest_.remove_prefix(1);
    return value;
  }

  std::string_view rest_;
  bool ok_ = true;
};

seconds scan_offset(Scanner& scanner) {
  if (scanner.accept('Z') || scanner.accept('z')) return seconds(0);
  const bool negative = scanner.accept('-');
  if (!negative) scanner.literal('+');
  const int hours = scanner.number(2);
  scanner.literal(':');
  const int minutes = scanner.number(2);
  if (hours > 23 || minutes > 59) scanner.fail();
  const seconds offset = std::chrono::hours(hours) + std::chrono::minutes(minutes);
  return negative ? -offset : offset;
}

std::optional<Timestamp> scan_timestamp(std::string_view text) {
  Scanner scanner(text);
  const int year = scanner.number(4);
  scanner.literal('-');
  const int month = scanner.number(2);
  scanner.literal('-');
  const int day = scanner.number(2);
  if (!scanner.accept('t')) scanner.literal('T');
  const int hour = scanner.number(2);
  scanner.literal(':');
  const int minute = scanner.number(2);
  scanner.literal(':');
  const int second = scanner.number(2);
  const nanoseconds fraction = scanner.accept('.') ? scanner.fraction() : nanoseconds(0);
  const seconds offset = scan_offset(scanner);
  const std::chrono::year_month_day date(std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day)));
  // 64 bits of nanoseconds end in April 2262 and begin in 1677.
  const bool in_range = year >= 1678 && year <= 2261;
  if (!scanner.complete() || !date.ok() || !in_range || hour > 23 || minute > 59 || second > 59)
    return std::nullopt;
  return std::chrono::sys_days(date) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
         seconds(second) - offset + fraction;
}

}  // namespace

Timestamp now() { return std::chrono::time_point_cast<nanoseconds>(std::chrono::system_clock::now()); }

std::string format_rfc3339(Timestamp time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  std::string text = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", static_cast<int>(date.year()),
                                 static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                                 clock.hours().count(), clock.minutes().count(), clock.seconds().count());
  const auto fraction = clock.subseconds().count();
  if (fraction % 1'000 != 0) {
    text += fmt::format(".{:09}", fraction);
  } else if (fraction % 1'000'000 != 0) {
    text += fmt::format(".{:06}", fraction / 1'000);
  } else if (fraction != 0) {
    text += fmt::format(".{:03}", fraction / 1'000'000);
  }
  return text + "+00:00";
}

Timestamp parse_rfc3339(std::string_view text) {
  if (const auto time = scan_timestamp(text)) return *time;
  throw Error(ErrorCode::InvalidInput,
              fmt::format("\"{}\" is not a time like 2026-11-22T18:00:38+00:00", printable(text)));
}

std::string random_hex(std::size_t bytes) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes);
  unsigned char buffer[64];
  while (text.size() < 2 * bytes) {
    const std::size_t wanted = std::min(sizeof buffer, bytes - text.size() / 2);
    const ssize_t got = ::getrandom(buffer, wanted, 0);
    if (got < 0 && errno != EINTR) throw_errno("getrandom");
    for (ssize_t i = 0; i < got; ++i) {
      text += kHex[buffer[i] >> 4U];
      text += kHex[buffer[i] & 0x0FU];
    }
  }
  return text;
}

}  // namespace karapace
