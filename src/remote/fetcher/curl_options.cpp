// SPDX-License-Identifier: Apache-2.0
#include "fetcher/curl_options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <new>

#include "fetcher/url.hpp"
#include "karapace/base/error.hpp"

namespace karapace::fetcher {

void HeaderLines::add(const std::string& line) {
  curl_slist* longer = curl_slist_append(list_.get(), line.c_str());
  if (longer == nullptr) throw std::bad_alloc();
  static_cast<void>(list_.release());  // it is the same list, or was none
  list_.reset(longer);
}

void check_option(CURLcode code, CURLoption option) {
  if (code == CURLE_OUT_OF_MEMORY) throw std::bad_alloc();
  if (code != CURLE_OK) {
    throw Error(ErrorCode::Unsupported, fmt::format("libcurl does not accept option {}: {}",
                                                    static_cast<int>(option), curl_easy_strerror(code)));
  }
}

void set_common_options(CURL* easy, const std::string& url, const HeaderLines& headers,
                        long connect_timeout_ms) {
  const bool https = scheme_of(url) == Scheme::Https;
  set_option(easy, CURLOPT_URL, url.c_str());
  set_option(easy, CURLOPT_PROTOCOLS_STR, https ? "https" : "http");
  set_option(easy, CURLOPT_HTTPHEADER, headers.get());
  set_option(easy, CURLOPT_HTTP_CONTENT_DECODING, 0L);
  set_option(easy, CURLOPT_FOLLOWLOCATION, 0L);  // we look at each redirect ourselves
  set_option(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
  set_option(easy, CURLOPT_PIPEWAIT, https ? 1L : 0L);
  set_option(easy, CURLOPT_USERAGENT, "karapace/" KARAPACE_VERSION);
  set_option(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set_option(easy, CURLOPT_NOSIGNAL, 1L);
  set_option(easy, CURLOPT_CONNECTTIMEOUT_MS, connect_timeout_ms);
}

bool is_broken_connection(CURLcode code) noexcept {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_SSL_CONNECT_ERROR:
      return true;
    default:
      return false;
  }
}

std::string_view status_meaning(long status) noexcept {
  switch (status) {
    case 401:
      return " Unauthorized";
    case 403:
      return " Forbidden";
    case 404:
      return " Not Found";
    case 410:
      return " Gone";
    case 416:
      return " Range Not Satisfiable";
    case 429:
      return " Too Many Requests";
    case 500:
      return " Internal Server Error";
    case 502:
      return " Bad Gateway";
    case 503:
      return " Service Unavailable";
    case 504:
      return " Gateway Timeout";
    default:
      return "";
  }
}

std::string_view header_value(std::string_view line, std::string_view lower_case_name) noexcept {
  const std::size_t length = lower_case_name.size();
  const bool matches = line.size() > length && line[length] == ':' &&
                       std::ranges::equal(line.substr(0, length), lower_case_name, [](char a, char b) {
                         return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
                       });
  if (!matches) return {};
  line.remove_prefix(length + 1);
  while (line.starts_with(' ') || line.starts_with('\t')) line.remove_prefix(1);
  return line.substr(0, line.find_last_not_of("\r\n \t") + 1);
}

}  // namespace karapace::fetcher
