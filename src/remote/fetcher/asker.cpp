// SPDX-License-Identifier: Apache-2.0
#include "fetcher/asker.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <new>
#include <utility>

#include "fetcher/curl_options.hpp"
#include "fetcher/sha256.hpp"
#include "fetcher/url.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"

namespace karapace::fetcher {

namespace {

using remote::protocol::Failure;

constexpr unsigned kMaxRedirects = 5;
constexpr std::size_t kMaxHeaderBytes = std::size_t{64} * 1024;
constexpr std::size_t kMaxLineBytes = std::size_t{256} * 1024;
// Documents are small: whoever sends one a byte at a time is stopped here.
constexpr std::chrono::milliseconds kMaxTime = std::chrono::minutes(3);

std::string lower_case(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

/// The next line without its end; false at the end of the file.
bool read_line(FdRef in, std::string& buffer, std::string& line) {
  while (true) {
    const auto end = buffer.find('\n');
    if (end != std::string::npos) {
      line = buffer.substr(0, end);
      buffer.erase(0, end + 1);
      return true;
    }
    if (buffer.size() > kMaxLineBytes) throw Error(ErrorCode::InvalidInput, "a request without an end");
    std::array<char, 4096> bytes{};
    const ssize_t count = ::read(in.get(), bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_errno("read the request");
    if (count == 0) return false;
    buffer.append(bytes.data(), static_cast<std::size_t>(count));
  }
}

[[noreturn]] void refuse(const std::string& url, std::string_view reason) {
  throw Error(ErrorCode::InvalidInput, fmt::format("{}: {}", shown_url(url), printable(reason, 600)));
}

bool is_temporary(long status) { return status == 408 || status == 425 || status == 429 || status >= 500; }

}  // namespace

Asker::Asker(const remote::FetchOptions& options) : options_(options), easy_(curl_easy_init()) {
  if (!easy_) throw std::bad_alloc();
}

void Asker::run(FdRef in, FdRef out) {
  std::string buffer;
  std::string line;
  if (!read_line(in, buffer, line)) return;
  Asker asker(remote::protocol::parse_options(line));
  while (read_line(in, buffer, line)) {
    Answered answered;
    try {
      answered = asker.ask(remote::protocol::parse_web_request(line));
    } catch (const Error& error) {
      answered = {};
      answered.answer.failure = Failure{.code = error.code(), .message = error.message(), .fix = error.fix()};
    }
    answered.answer.body_bytes = answered.body.size();
    write_all(out, remote::protocol::encode(answered.answer) + answered.body);
  }
}

Asker::Answered Asker::ask(const remote::WebRequest& request) {
  max_bytes_ = request.max_bytes;
  follow_redirects(request);
  Answered answered;
  Sha256 sum;
  sum.update(reply_.body);
  reply_.sha256 = sum.hex();
  answered.body = std::exchange(reply_.body, {});
  answered.answer.reply = std::move(reply_);
  return answered;
}

void Asker::follow_redirects(const remote::WebRequest& request) {
  std::string url = request.url;
  bool same_server = true;
  unsigned redirects = 0;
  for (unsigned attempts = 0;;) {
    if (attempt(url, request, same_server) == End::TryLater) {
      if (++attempts > options_.retries) {
        if (reply_.status != 0 && is_temporary(reply_.status)) return;  // an answer, such as it is
        throw Error(ErrorCode::Unavailable,
                    fmt::format("{}: {} (tried {} times)", shown_url(url), trouble_, attempts),
                    "Check the network and run the command again.");
      }
      pause_before_retry(attempts);
      url = request.url;
      same_server = true;
      redirects = 0;
      continue;
    }
    if (location_.empty()) {
      // Only the server that was asked may say whom it wants to see.
      if (!same_server) reply_.challenges.clear();
      return;
    }
    if (!request.form.empty()) refuse(url, "the server redirects what may go to it only");
    if (location_.size() > remote::kMaxUrlBytes) refuse(url, "the server redirects to an endless address");
    if (!redirect_is_allowed(url, location_))
      refuse(url, fmt::format("the server redirects to {}, which is refused", shown_url(location_)));
    if (++redirects > kMaxRedirects) refuse(url, fmt::format("more than {} redirects", kMaxRedirects));
    same_server = same_server && same_origin(request.url, location_);
    url = location_;
  }
}

Asker::End Asker::attempt(const std::string& url, const remote::WebRequest& request, bool same_server) {
  reply_ = {};
  location_.clear();
  header_bytes_ = 0;
  failure_ = nullptr;
  HeaderLines headers;
  headers.add("Accept-Encoding: identity");
  if (!request.accept.empty()) headers.add("Accept: " + request.accept);
  if (!request.authorization.empty() && same_server) headers.add("Authorization: " + request.authorization);

  CURL* easy = easy_.get();
  curl_easy_reset(easy);  // connections stay
  set_common_options(easy, url, headers, static_cast<long>(options_.connect_timeout.count()));
  const auto stall = std::chrono::ceil<std::chrono::seconds>(options_.stall_timeout);
  set_option(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
  set_option(easy, CURLOPT_LOW_SPEED_TIME, static_cast<long>(stall.count()));
  set_option(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(kMaxTime.count()));
  if (!request.form.empty()) {
    set_option(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.form.size()));
    set_option(easy, CURLOPT_POSTFIELDS, request.form.data());
  }
  set_option(easy, CURLOPT_HEADERFUNCTION, &Asker::on_header);
  set_option(easy, CURLOPT_HEADERDATA, static_cast<void*>(this));
  set_option(easy, CURLOPT_WRITEFUNCTION, &Asker::on_body);
  set_option(easy, CURLOPT_WRITEDATA, static_cast<void*>(this));

  const CURLcode code = curl_easy_perform(easy);
  set_option(easy, CURLOPT_HTTPHEADER, static_cast<curl_slist*>(nullptr));
  if (failure_) std::rethrow_exception(failure_);
  reply_.status = 0;
  if (code != CURLE_OK) {
    trouble_ = curl_easy_strerror(code);
    retry_after_ = 0;
    if (is_broken_connection(code)) return End::TryLater;
    throw Error(ErrorCode::Unavailable, fmt::format("{}: {}", shown_url(url), trouble_));
  }
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &reply_.status);
  if (is_temporary(reply_.status)) {
    trouble_ = fmt::format("the server answers {}{}", reply_.status, status_meaning(reply_.status));
    curl_off_t seconds = 0;
    curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &seconds);
    retry_after_ = static_cast<long>(std::clamp<curl_off_t>(seconds, 0, 3600));
    return End::TryLater;
  }
  char* location = nullptr;
  curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, &location);
  if (reply_.status >= 300 && reply_.status < 400 && location != nullptr) location_ = location;
  return End::Answered;
}

void Asker::pause_before_retry(unsigned attempts) const {
  auto pause = options_.retry_delay * (1U << std::min(attempts - 1, 16U));
  pause = std::max<std::chrono::milliseconds>(pause, std::chrono::seconds(retry_after_));
  pause = std::min(pause, options_.max_retry_delay);
  ::poll(nullptr, 0, static_cast<int>(pause.count()));
}

std::size_t Asker::on_header(char* data, std::size_t size, std::size_t count, void* self) noexcept {
  auto& asker = *static_cast<Asker*>(self);
  try {
    asker.take_header({data, size * count});
  } catch (...) {
    asker.failure_ = std::current_exception();
  }
  return asker.failure_ ? 0 : size * count;
}

std::size_t Asker::on_body(char* data, std::size_t size, std::size_t count, void* self) noexcept {
  auto& asker = *static_cast<Asker*>(self);
  const std::size_t length = size * count;
  try {
    asker.take_body({data, length});
  } catch (...) {
    asker.failure_ = std::current_exception();
  }
  return asker.failure_ ? (length == 0 ? 1 : 0) : length;
}

void Asker::take_header(std::string_view line) {
  header_bytes_ += line.size();
  if (header_bytes_ > kMaxHeaderBytes)
    throw Error(ErrorCode::InvalidInput, "the server sends endless headers");
  if (line.starts_with("HTTP/")) {  // a new answer; the last one was "100 Continue"
    reply_.media_type.clear();
    reply_.content_digest.clear();
    reply_.challenges.clear();
  }
  if (const auto value = header_value(line, "content-type"); value.data() != nullptr) {
    const auto type = value.substr(0, value.find(';'));
    reply_.media_type = lower_case(type.substr(0, type.find_last_not_of(" \t") + 1));
  }
  if (const auto value = header_value(line, "docker-content-digest"); value.data() != nullptr)
    reply_.content_digest = value;
  if (const auto value = header_value(line, "www-authenticate"); value.data() != nullptr)
    reply_.challenges.emplace_back(value);
}

void Asker::take_body(std::string_view bytes) {
  if (bytes.size() > max_bytes_ - reply_.body.size()) {
    throw Error(
        ErrorCode::InvalidInput,
        fmt::format("the server sends more than the {} bytes that such a document may have", max_bytes_));
  }
  reply_.body.append(bytes);
}

}  // namespace karapace::fetcher
