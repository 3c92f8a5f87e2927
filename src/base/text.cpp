// SPDX-License-Identifier: Apache-2.0
#include "karapace/base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

namespace karapace {
namespace {

struct CodePoint {
  std::uint32_t value = 0;
  std::size_t bytes = 0;  // 0: not well-formed
};

bool is_continuation(unsigned char byte) noexcept { return (byte & 0xC0U) == 0x80U; }

/// The first code point of `text`, which is not empty.
CodePoint decode(std::string_view text) noexcept {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = at(0);
  if (lead < 0x80U) return {lead, 1};
  std::size_t bytes = 0;
  std::uint32_t value = 0;
  std::uint32_t smallest = 0;
  if ((lead & 0xE0U) == 0xC0U) {
    bytes = 2, value = lead & 0x1FU, smallest = 0x80U;
  } else if ((lead & 0xF0U) == 0xE0U) {
    bytes = 3, value = lead & 0x0FU, smallest = 0x800U;
  } else if ((lead & 0xF8U) == 0xF0U) {
    bytes = 4, value = lead & 0x07U, smallest = 0x10000U;
  } else {
    return {};
  }
  if (text.size() < bytes) return {};
  for (std::size_t i = 1; i < bytes; ++i) {
    if (!is_continuation(at(i))) return {};
    value = (value << 6U) | (at(i) & 0x3FU);
  }
  const bool surrogate = value >= 0xD800U && value <= 0xDFFFU;
  if (value < smallest || value > 0x10FFFFU || surrogate) return {};
  return {value, bytes};
}

/// Nearly every text is: then there is nothing to decode.
bool is_plain(std::string_view text) noexcept {
  return std::ranges::all_of(text, [](char byte) { return byte >= ' ' && byte <= '~'; });
}

/// Control characters, and what makes a terminal show text in another order than it is stored.
bool is_unsafe(std::uint32_t value) noexcept {
  if (value < 0x20U || (value >= 0x7FU && value <= 0x9FU)) return true;
  if (value == 0x061CU || value == 0x200EU || value == 0x200FU || value == 0xFEFFU) return true;
  return (value >= 0x2028U && value <= 0x202EU) || (value >= 0x2066U && value <= 0x2069U);
}

void append_escaped(std::string& out, std::string_view bytes) {
  static constexpr char kHex[] = "0123456789abcdef";
  for (const char byte : bytes) {
    const auto value = static_cast<unsigned char>(byte);
    out += "\\x";
    out += kHex[value >> 4U];
    out += kHex[value & 0x0FU];
  }
}

}  // namespace

bool is_utf8(std::string_view text) noexcept {
  if (is_plain(text)) return true;
  while (!text.empty()) {
    const CodePoint next = decode(text);
    if (next.bytes == 0) return false;
    text.remove_prefix(next.bytes);
  }
  return true;
}

std::string printable(std::string_view text, std::size_t limit) {
  if (text.size() <= limit && is_plain(text)) return std::string(text);
  static constexpr std::string_view kCut = "...";
  std::string out;
  std::size_t cut_at = 0;  // the longest prefix of `out` after which kCut still fits
  while (!text.empty()) {
    const CodePoint next = decode(text);
    const std::size_t bytes = next.bytes == 0 ? 1 : next.bytes;
    if (next.bytes == 0 || is_unsafe(next.value)) {
      append_escaped(out, text.substr(0, bytes));
    } else {
      out += text.substr(0, bytes);
    }
    if (out.size() > limit) {
      out.resize(cut_at);
      out += kCut.substr(0, limit - cut_at);
      return out;
    }
    if (out.size() + kCut.size() <= limit) cut_at = out.size();
    text.remove_prefix(bytes);
  }
  return out;
}

std::string counted(std::size_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

}  // namespace karapace
