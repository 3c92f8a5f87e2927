// SPDX-License-Identifier: Apache-2.0
#include "fetcher/url.hpp"

#include <algorithm>
#include <optional>

#include "karapace/base/text.hpp"

namespace karapace::fetcher {

namespace {

bool begins_with(std::string_view text, std::string_view lower_case) noexcept {
  return text.size() >= lower_case.size() &&
         std::ranges::equal(text.substr(0, lower_case.size()), lower_case, [](char a, char b) {
           return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
         });
}

/// "https://host:443" in lower case; nothing for an address that has none, or a user name in front of it.
std::optional<std::string> origin_of(std::string_view url) {
  const Scheme scheme = scheme_of(url);
  if (scheme == Scheme::Other) return std::nullopt;
  url.remove_prefix(url.find("://") + 3);
  std::string authority(url.substr(0, url.find_first_of("/?#")));
  // A backslash ends the host for some readers and not for others.
  if (authority.empty() || authority.find_first_of("@\\") != std::string::npos) return std::nullopt;
  for (char& c : authority) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  const auto colon = authority.rfind(':');
  const bool has_port = colon != std::string::npos && authority.find(']', colon) == std::string::npos;
  if (has_port && colon + 1 == authority.size()) authority.pop_back();
  const std::string_view port = scheme == Scheme::Https ? ":443" : ":80";
  if (!has_port || authority.size() == colon) authority += port;
  return (scheme == Scheme::Https ? "https://" : "http://") + authority;
}

}  // namespace

bool same_origin(std::string_view a, std::string_view b) {
  const auto origin = origin_of(a);
  return origin && origin == origin_of(b);
}

Scheme scheme_of(std::string_view url) noexcept {
  if (begins_with(url, "https://")) return Scheme::Https;
  if (begins_with(url, "http://")) return Scheme::Http;
  return Scheme::Other;
}

bool redirect_is_allowed(std::string_view from, std::string_view to) noexcept {
  const Scheme target = scheme_of(to);
  return target == Scheme::Https || (target == Scheme::Http && scheme_of(from) == Scheme::Http);
}

std::string shown_url(std::string_view url) {
  std::string shown(url);
  const auto start = shown.find("://");
  if (start != std::string::npos) {
    const auto authority = start + 3;
    const auto end = shown.find_first_of("/?#", authority);
    const auto at = shown.substr(0, end).rfind('@');
    if (at != std::string::npos && at >= authority) shown.erase(authority, at + 1 - authority);
  }
  return printable(shown, 300);
}

}  // namespace karapace::fetcher
