// SPDX-License-Identifier: Apache-2.0
#include "fetcher/transfer.hpp"

#include <fmt/format.h>

#include <charconv>
#include <new>
#include <string_view>

#include "karapace/base/error.hpp"

namespace karapace::fetcher {

namespace {

constexpr std::size_t kMaxHeaderBytes = std::size_t{64} * 1024;
constexpr std::size_t kMaxErrorPageBytes = std::size_t{64} * 1024;

struct Range {
  std::uint64_t first;
  std::optional<std::uint64_t> total;
};

/// "bytes 100-199/200"; the total may be "*".
std::optional<Range> parse_content_range(std::string_view text) {
  constexpr std::string_view kUnit = "bytes ";
  if (!text.starts_with(kUnit)) return std::nullopt;
  text.remove_prefix(kUnit.size());
  const auto number = [&]() -> std::optional<std::uint64_t> {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc()) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return value;
  };
  const auto skip = [&](char wanted) {
    if (text.empty() || text.front() != wanted) return false;
    text.remove_prefix(1);
    return true;
  };
  const auto first = number();
  if (!first || !skip('-') || !number() || !skip('/')) return std::nullopt;
  return Range{.first = *first, .total = number()};
}

}  // namespace

Transfer::Transfer(const remote::FetchOptions& options) : options_(options), easy_(curl_easy_init()) {
  if (!easy_) throw std::bad_alloc();
}

void Transfer::prepare(const Request& request, PartFile& part) {
  part_ = &part;
  size_ = request.size;
  told_size_ = received_ = 0;
  header_bytes_ = discarded_bytes_ = 0;
  content_range_.clear();
  body_begun_ = length_told_ = false;
  stopped_.reset();
  failure_ = nullptr;
  last_byte_ = stretch_begin_ = std::chrono::steady_clock::now();
  stretch_received_ = 0;

  CURL* easy = easy_.get();
  curl_easy_reset(easy);
  // What the digest is about is the bytes of the file, so nobody may pack them on the way.
  headers_.clear();
  headers_.add("Accept-Encoding: identity");
  if (request.bypass_caches) headers_.add("Cache-Control: no-cache");
  if (!request.accept.empty()) headers_.add("Accept: " + request.accept);
  if (!request.authorization.empty()) headers_.add("Authorization: " + request.authorization);
  set_common_options(easy, request.url, headers_, static_cast<long>(options_.connect_timeout.count()));
  set_option(easy, CURLOPT_BUFFERSIZE, 256L * 1024);
  // Not CURLOPT_RESUME_FROM: with it libcurl gives up on servers without ranges.
  if (part.size() > 0) set_option(easy, CURLOPT_RANGE, fmt::format("{}-", part.size()).c_str());

  set_option(easy, CURLOPT_HEADERFUNCTION, &Transfer::on_header);
  set_option(easy, CURLOPT_HEADERDATA, static_cast<void*>(this));
  set_option(easy, CURLOPT_WRITEFUNCTION, &Transfer::on_body);
  set_option(easy, CURLOPT_WRITEDATA, static_cast<void*>(this));
}

bool Transfer::was_slow_for(std::chrono::milliseconds span) {
  const auto now = std::chrono::steady_clock::now();
  if (now - stretch_begin_ < span) return false;
  const auto enough = static_cast<std::uint64_t>(span.count()) * remote::kSlowBytesPerSecond / 1000;
  const bool slow = received_ - stretch_received_ < enough;
  stretch_begin_ = now;
  stretch_received_ = received_;
  return slow;
}

std::size_t Transfer::on_header(char* data, std::size_t size, std::size_t count, void* self) noexcept {
  auto& transfer = *static_cast<Transfer*>(self);
  transfer.last_byte_ = std::chrono::steady_clock::now();
  try {
    transfer.take_header({data, size * count});
  } catch (...) {
    transfer.failure_ = std::current_exception();
  }
  return transfer.failure_ || transfer.stopped_ ? 0 : size * count;
}

// Anything but the full number makes libcurl end the transfer with CURLE_WRITE_ERROR.
std::size_t Transfer::on_body(char* data, std::size_t size, std::size_t count, void* self) noexcept {
  auto& transfer = *static_cast<Transfer*>(self);
  transfer.last_byte_ = std::chrono::steady_clock::now();
  const std::size_t length = size * count;
  try {
    transfer.take_body({data, length});
  } catch (...) {
    transfer.failure_ = std::current_exception();
  }
  return transfer.failure_ || transfer.stopped_ ? (length == 0 ? 1 : 0) : length;
}

void Transfer::take_header(std::string_view line) {
  header_bytes_ += line.size();
  if (header_bytes_ > kMaxHeaderBytes)
    return stop(Outcome::Kind::Refused, fmt::format("more than {} KiB of headers", kMaxHeaderBytes / 1024));
  if (line.starts_with("HTTP/")) content_range_.clear();  // a new answer; the last one was "100 Continue"
  const auto range = header_value(line, "content-range");
  if (range.data() != nullptr) content_range_ = range;
}

void Transfer::take_body(std::string_view bytes) {
  const long code = status();
  if (code != 200 && code != 206) {
    // The server's page about the error. It is read so that the connection can be used again, up to a limit.
    discarded_bytes_ += bytes.size();
    if (discarded_bytes_ > kMaxErrorPageBytes) stopped_ = judge_status(code);
    return;
  }
  if (!body_begun_) begin_body();
  if (stopped_) return;
  const std::uint64_t limit = size_ != 0 ? size_ : remote::kMaxUnknownSize;
  if (bytes.size() > limit - part_->size())
    return stop(Outcome::Kind::WrongContent,
                fmt::format("the server sends more than the {} bytes expected", limit));
  received_ += bytes.size();
  part_->append(bytes);
}

void Transfer::begin_body() {
  body_begun_ = true;
  if (status() == 206) {
    begin_range();
  } else if (part_->size() > 0) {
    part_->restart();  // the server ignored the range and begins from the first byte
  }
  curl_off_t length = -1;
  curl_easy_getinfo(easy_.get(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
  length_told_ = length >= 0;
  if (!length_told_ || stopped_) return;
  told_size_ = part_->size() + static_cast<std::uint64_t>(length);
  if (size_ != 0 && told_size_ != size_)
    stop(Outcome::Kind::WrongContent, fmt::format("the server has {} bytes, expected {}", told_size_, size_));
}

void Transfer::begin_range() {
  const auto range = parse_content_range(content_range_);
  if (!range || range->first != part_->size())
    return stop(Outcome::Kind::WrongContent, "the server sent another range of bytes than we asked for");
  if (range->total && size_ != 0 && *range->total != size_)
    stop(Outcome::Kind::WrongContent,
         fmt::format("the server has {} bytes, expected {}", *range->total, size_));
}

void Transfer::stop(Outcome::Kind kind, std::string detail) {
  stopped_ =
      Outcome{.kind = kind, .detail = std::move(detail), .retry_after = std::nullopt, .status = status()};
}

long Transfer::status() const {
  long code = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &code);
  return code;
}

Outcome Transfer::judge_status(long code) const {
  Outcome result{.kind = Outcome::Kind::Refused,
                 .detail = fmt::format("the server answers {}{}", code, status_meaning(code)),
                 .retry_after = std::nullopt,
                 .status = code};
  char* location = nullptr;
  curl_easy_getinfo(easy_.get(), CURLINFO_REDIRECT_URL, &location);
  if (code >= 300 && code < 400 && location != nullptr) {
    result.kind = Outcome::Kind::Redirect;
    result.detail = location;
  } else if (code == 416 && part_->size() > 0) {
    result.kind = Outcome::Kind::WrongContent;
  } else if (code == 408 || code == 425 || code == 429 || code >= 500) {
    result.kind = Outcome::Kind::TryLater;
    curl_off_t seconds = 0;
    curl_easy_getinfo(easy_.get(), CURLINFO_RETRY_AFTER, &seconds);
    if (seconds > 0) result.retry_after = std::chrono::seconds(seconds);
  }
  return result;
}

Outcome Transfer::judge_end() const {
  if (size_ != 0 && part_->size() < size_) {
    // Without a length the end of the connection is the end of the file, also when it broke.
    const auto kind = length_told_ ? Outcome::Kind::WrongContent : Outcome::Kind::TryLater;
    return {.kind = kind,
            .detail = fmt::format("the server sent {} of {} bytes", part_->size(), size_),
            .retry_after = std::nullopt,
            .status = status()};
  }
  return {.kind = Outcome::Kind::Complete, .detail = {}, .retry_after = std::nullopt, .status = status()};
}

Outcome Transfer::outcome(CURLcode code) {
  if (failure_) std::rethrow_exception(failure_);
  if (stopped_) return *stopped_;
  const long answer = status();
  if (code == CURLE_OK) {
    if (answer != 200 && answer != 206) return judge_status(answer);
    if (!body_begun_) begin_body();  // a file without bytes
    return stopped_ ? *stopped_ : judge_end();
  }
  return {.kind = is_broken_connection(code) ? Outcome::Kind::TryLater : Outcome::Kind::Refused,
          .detail = curl_easy_strerror(code),
          .retry_after = std::nullopt,
          .status = answer};
}

}  // namespace karapace::fetcher
