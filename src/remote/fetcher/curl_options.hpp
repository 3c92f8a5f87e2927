// SPDX-License-Identifier: Apache-2.0
// What every request of ours asks of libcurl.
#pragma once

#include <curl/curl.h>

#include <memory>
#include <string>
#include <string_view>

namespace karapace::fetcher {

/// Lines of a request's header, to be kept until the request has ended.
class HeaderLines {
 public:
  void add(const std::string& line);
  void clear() noexcept { list_.reset(); }
  [[nodiscard]] curl_slist* get() const noexcept { return list_.get(); }

 private:
  struct Free {
    void operator()(curl_slist* list) const noexcept { curl_slist_free_all(list); }
  };
  std::unique_ptr<curl_slist, Free> list_;
};

template <typename Value>
void set_option(CURL* easy, CURLoption option, Value value);

/// The scheme that `url` has and no other, no redirects, no decoding, no signals.
void set_common_options(CURL* easy, const std::string& url, const HeaderLines& headers,
                        long connect_timeout_ms);

/// Throws what the code means; CURLE_OK is nothing.
void check_option(CURLcode code, CURLoption option);

template <typename Value>
void set_option(CURL* easy, CURLoption option, Value value) {
  check_option(curl_easy_setopt(easy, option, value), option);
}

/// True if asking again may help.
[[nodiscard]] bool is_broken_connection(CURLcode code) noexcept;

/// "404" -> " Not Found"; empty for what is not common.
[[nodiscard]] std::string_view status_meaning(long status) noexcept;

/// The value of a header line if it is called `lower_case_name`; data() is null otherwise.
[[nodiscard]] std::string_view header_value(std::string_view line, std::string_view lower_case_name) noexcept;

}  // namespace karapace::fetcher
