// SPDX-License-Identifier: Apache-2.0
#include "fetcher/url.hpp"

#include <algorithm>

#include "karapace/base/text.hpp"

namespace karapace::fetcher {

namespace {

bool begins_with(std::string_view text, std::string_view lower_case) noexcept {
  return text.size() >= lower_case.size() &&
         std::ranges::equal(text.substr(0, lower_case.size()), lower_case, [](char a, char b) {
           return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
         });
}

}  // namespace

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
