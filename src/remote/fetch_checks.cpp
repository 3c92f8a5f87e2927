// SPDX-License-Identifier: Apache-2.0
#include "fetch_checks.hpp"

#include <algorithm>
#include <string>

namespace karapace::remote {

namespace {

constexpr unsigned kMaxParallel = 32;
constexpr unsigned kMaxRetries = 20;
constexpr std::chrono::milliseconds kMaxTime = std::chrono::hours(1);

}  // namespace

bool is_web_address(std::string_view url) {
  std::string scheme(url.substr(0, url.find("://")));
  std::ranges::transform(scheme, scheme.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  if ((scheme != "http" && scheme != "https") || url.size() <= scheme.size() + 3) return false;
  return std::ranges::all_of(url, [](char c) { return c > 0x20 && c < 0x7f; });
}

bool is_header_value(std::string_view text) {
  return text.size() <= kMaxHeaderValueBytes &&
         std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7f; });
}

FetchOptions bounded(FetchOptions options) {
  const auto time = [](std::chrono::milliseconds value) {
    return std::clamp(value, std::chrono::milliseconds(1), kMaxTime);
  };
  options.parallel = std::clamp(options.parallel, 1U, kMaxParallel);
  options.retries = std::min(options.retries, kMaxRetries);
  options.connect_timeout = time(options.connect_timeout);
  options.stall_timeout = time(options.stall_timeout);
  options.slow_timeout = time(options.slow_timeout);
  options.retry_delay = time(options.retry_delay);
  options.max_retry_delay = time(options.max_retry_delay);
  options.grace_after_failure = time(options.grace_after_failure);
  return options;
}

}  // namespace karapace::remote
