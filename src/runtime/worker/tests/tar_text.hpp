// SPDX-License-Identifier: Apache-2.0
// Tar archives written by hand, so that they can say what no tar program would write.
#pragma once

#include <fmt/format.h>

#include <cstring>
#include <string>
#include <string_view>

namespace karapace::worker {

struct TarEntry {
  std::string name;
  char type = '0';  // 0 file, 1 hard link, 2 symbolic link, 3 and 4 devices, 5 directory, 6 fifo
  std::string content = {};
  std::string link = {};
  unsigned mode = 0644;
  unsigned uid = 0;
};

inline std::string tar_entry(const TarEntry& entry) {
  std::string header(512, '\0');
  const auto put = [&](std::size_t at, std::string_view text) {
    std::memcpy(header.data() + at, text.data(), text.size());
  };
  put(0, entry.name.substr(0, 100));
  put(100, fmt::format("{:07o}", entry.mode));
  put(108, fmt::format("{:07o}", entry.uid));
  put(116, fmt::format("{:07o}", entry.uid));
  put(124, fmt::format("{:011o}", entry.content.size()));
  put(136, fmt::format("{:011o}", 1700000000U));
  put(148, "        ");
  header[156] = entry.type;
  put(157, entry.link.substr(0, 100));
  put(257, std::string_view("ustar\00000", 8));
  put(329, "0000001");
  put(337, "0000003");
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  put(148, fmt::format("{:06o}", sum));
  header[154] = '\0';
  std::string bytes = header + entry.content;
  bytes.resize((bytes.size() + 511) / 512 * 512, '\0');
  return bytes;
}

template <typename... Entries>
std::string tar(const Entries&... entries) {
  return (tar_entry(entries) + ... + std::string(1024, '\0'));
}

inline std::string pax_record(std::string_view key, std::string_view value) {
  for (std::size_t length = key.size() + value.size() + 3;; ++length) {
    std::string record = fmt::format("{} {}={}\n", length, key, value);
    if (record.size() == length) return record;
  }
}

/// A pax header with "key=value" records for the entry that follows.
inline std::string pax(const std::string& records) {
  return tar_entry({.name = "PaxHeader", .type = 'x', .content = records});
}
inline std::string pax(std::string_view key, std::string_view value) { return pax(pax_record(key, value)); }

}  // namespace karapace::worker
