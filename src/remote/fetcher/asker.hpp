// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <curl/curl.h>

#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <string_view>

#include "fetch_protocol.hpp"
#include "karapace/base/unique_fd.hpp"

namespace karapace::fetcher {

/// karapace-fetch --ask: one request after the other, each answered with status, some headers and the body.
class Asker {
 public:
  explicit Asker(const remote::FetchOptions& options);

  /// Until the end of `in`. Answers go to `out`.
  static void run(FdRef in, FdRef out);

  struct Answered {
    remote::protocol::Answer answer;
    std::string body;
  };
  [[nodiscard]] Answered ask(const remote::WebRequest& request);

 private:
  struct FreeEasy {
    void operator()(CURL* handle) const noexcept { curl_easy_cleanup(handle); }
  };
  enum class End { Answered, TryLater };

  static std::size_t on_header(char* data, std::size_t size, std::size_t count, void* self) noexcept;
  static std::size_t on_body(char* data, std::size_t size, std::size_t count, void* self) noexcept;
  void take_header(std::string_view line);
  void take_body(std::string_view bytes);
  void follow_redirects(const remote::WebRequest& request);
  [[nodiscard]] End attempt(const std::string& url, const remote::WebRequest& request, bool same_server);
  void pause_before_retry(unsigned attempts) const;

  remote::FetchOptions options_;
  std::unique_ptr<CURL, FreeEasy> easy_;

  remote::WebReply reply_;
  std::string trouble_;  // why the last attempt is to be repeated
  long retry_after_ = 0;
  std::string location_;
  std::uint64_t max_bytes_ = 0;
  std::size_t header_bytes_ = 0;
  std::exception_ptr failure_;
};

}  // namespace karapace::fetcher
