// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

#include "host_user.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"

namespace karapace::runtime {
namespace {

constexpr std::size_t kMaxPasswdBytes = 16 * 1024 * 1024;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

}  // namespace

bool is_user_name(std::string_view name) noexcept {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  const auto other = [](char c) { return (c >= '0' && c <= '9') || c == '-' || c == '.'; };
  if (name.empty() || name.size() > 32 || !letter(name.front())) return false;
  return std::ranges::all_of(name, [&](char c) { return letter(c) || other(c); });
}

std::optional<HostUser> find_passwd_entry(std::string_view passwd, std::uint32_t uid) {
  while (!passwd.empty()) {
    const std::size_t end = std::min(passwd.find('\n'), passwd.size());
    std::string_view line = passwd.substr(0, end);
    passwd.remove_prefix(std::min(end + 1, passwd.size()));
    std::array<std::string_view, 7> fields;
    std::size_t count = 0;
    for (; count < fields.size(); ++count) {
      const std::size_t colon = line.find(':');
      fields[count] = line.substr(0, colon);
      if (colon == std::string_view::npos) break;
      line.remove_prefix(colon + 1);
    }
    if (count != fields.size() - 1) continue;
    const auto number = [](std::string_view text) -> std::optional<std::uint32_t> {
      std::uint32_t value = 0;
      const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
      if (error != std::errc{} || stop != text.data() + text.size()) return std::nullopt;
      return value;
    };
    const auto entry_uid = number(fields[2]);
    const auto entry_gid = number(fields[3]);
    if (!entry_uid || !entry_gid || *entry_uid != uid) continue;
    return HostUser{uid, *entry_gid, std::string(fields[0]), std::string(fields[5]), std::string(fields[6])};
  }
  return std::nullopt;
}

HostUser current_user() {
  const auto uid = static_cast<std::uint32_t>(::geteuid());
  HostUser user;
  try {
    const std::string passwd = read_all(open_path("/etc/passwd", O_RDONLY), kMaxPasswdBytes);
    user = find_passwd_entry(passwd, uid).value_or(HostUser{});
  } catch (const SystemError&) {
    // A host without the file: the variables have to do.
  }
  user.uid = uid;
  user.gid = static_cast<std::uint32_t>(::getegid());
  if (!is_user_name(user.name)) user.name = variable("USER");
  if (!is_user_name(user.name)) user.name = "user";
  const std::string home = variable("HOME");
  if (home.starts_with('/')) user.home = home;
  if (!user.home.starts_with('/')) user.home = "/";
  return user;
}

}  // namespace karapace::runtime
