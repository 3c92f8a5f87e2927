// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <curl/curl.h>

#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>

#include "fetcher/curl_options.hpp"
#include "fetcher/part_file.hpp"
#include "karapace/remote/fetch.hpp"

namespace karapace::fetcher {

struct Outcome {
  enum class Kind {
    Complete,      // the server says that this was all, and the number of bytes fits
    Redirect,      // to `detail`
    TryLater,      // broke, or the server is busy
    TooSlow,       // would never end
    WrongContent,  // what the server has is not what was declared
    Refused,       // no use in asking again
  };
  Kind kind;
  std::string detail;
  std::optional<std::chrono::seconds> retry_after;
  long status = 0;  // of HTTP, 0 if there was no answer
};

/// One HTTP request into a PartFile, from its end on. Reusable: connections live in the multi handle.
class Transfer {
 public:
  explicit Transfer(const remote::FetchOptions& options);
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;
  ~Transfer() = default;

  struct Request {
    std::string url;
    std::uint64_t size = 0;  // 0: not known
    std::string accept;
    std::string authorization;
    bool bypass_caches = false;  // a second attempt from scratch
  };
  /// `part` must live until outcome().
  void prepare(const Request& request, PartFile& part);
  [[nodiscard]] CURL* handle() const noexcept { return easy_.get(); }
  /// What became of it, after the multi handle reported `code`. Rethrows what failed on our side (disk full).
  [[nodiscard]] Outcome outcome(CURLcode code);
  /// Bytes of content that came over the network since prepare().
  [[nodiscard]] std::uint64_t received() const noexcept { return received_; }
  /// Since the last byte of any kind, or since prepare().
  [[nodiscard]] std::chrono::steady_clock::duration silence() const {
    return std::chrono::steady_clock::now() - last_byte_;
  }
  /// Whether less than kSlowBytesPerSecond came in the last stretch of `span`; then another one begins.
  [[nodiscard]] bool was_slow_for(std::chrono::milliseconds span);
  /// Size of the whole file, if it was declared or the server told.
  [[nodiscard]] std::uint64_t known_size() const noexcept { return size_ != 0 ? size_ : told_size_; }

 private:
  struct FreeEasy {
    void operator()(CURL* handle) const noexcept { curl_easy_cleanup(handle); }
  };

  static std::size_t on_header(char* data, std::size_t size, std::size_t count, void* self) noexcept;
  static std::size_t on_body(char* data, std::size_t size, std::size_t count, void* self) noexcept;
  void take_header(std::string_view line);
  void take_body(std::string_view bytes);
  void begin_body();
  void begin_range();
  void stop(Outcome::Kind kind, std::string detail);
  [[nodiscard]] long status() const;
  [[nodiscard]] Outcome judge_status(long code) const;
  [[nodiscard]] Outcome judge_end() const;

  const remote::FetchOptions& options_;
  std::unique_ptr<CURL, FreeEasy> easy_;
  HeaderLines headers_;

  PartFile* part_ = nullptr;
  std::uint64_t size_ = 0;
  std::uint64_t told_size_ = 0;
  std::uint64_t received_ = 0;
  std::chrono::steady_clock::time_point last_byte_;
  std::chrono::steady_clock::time_point stretch_begin_;
  std::uint64_t stretch_received_ = 0;  // before it began
  std::size_t header_bytes_ = 0;
  std::size_t discarded_bytes_ = 0;
  std::string content_range_;
  bool body_begun_ = false;
  bool length_told_ = false;
  std::optional<Outcome> stopped_;
  std::exception_ptr failure_;
};

}  // namespace karapace::fetcher
