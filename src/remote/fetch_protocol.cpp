// SPDX-License-Identifier: Apache-2.0
#include "fetch_protocol.hpp"

#include <array>
#include <utility>

#include "karapace/base/json.hpp"

namespace karapace::remote::protocol {

namespace {

constexpr std::size_t kMaxMessageBytes = std::size_t{256} * 1024;
constexpr std::size_t kMaxRequestBytes = std::size_t{512} * 1024 * 1024;

constexpr std::array kAllCodes{ErrorCode::InvalidInput, ErrorCode::NotFound, ErrorCode::AlreadyExists,
                               ErrorCode::Conflict,     ErrorCode::Busy,     ErrorCode::PermissionDenied,
                               ErrorCode::Unsupported,  ErrorCode::Corrupt,  ErrorCode::NoSpace,
                               ErrorCode::Unavailable,  ErrorCode::External, ErrorCode::Internal};

ErrorCode parse_code(std::string_view name) {
  for (const ErrorCode code : kAllCodes) {
    if (to_string(code) == name) return code;
  }
  return ErrorCode::Internal;
}

std::string dump(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

// The library's own exceptions become ours: whoever sent this does not speak the protocol.
template <typename Body>
auto checked(std::string_view what, Body&& body) {
  try {
    return std::forward<Body>(body)();
  } catch (const Json::exception& error) {
    throw Error(ErrorCode::InvalidInput, std::string(what) + ": " + error.what());
  }
}

Json to_json(const Progress& progress) {
  return {{"bytes", progress.bytes},
          {"total", progress.total},
          {"files_done", progress.files_done},
          {"files_total", progress.files_total},
          {"rate", progress.rate}};
}
Json to_json(const Note& note) { return {{"note", note.text}}; }
Json to_json(const Verified& file) { return {{"verified", file.sha256}}; }
Json to_json(const Present& file) { return {{"present", file.sha256}}; }
Json to_json(const std::optional<Failure>& failure) {
  if (!failure) return nullptr;
  return {{"code", to_string(failure->code)},
          {"message", failure->message},
          {"fix", failure->fix},
          {"status", failure->status}};
}
Json to_json(const Result& result) {
  return {{"result", {{"received", result.received}, {"error", to_json(result.failure)}}}};
}
Json to_json(const FetchOptions& options) {
  return {{"parallel", options.parallel},
          {"retries", options.retries},
          {"connect_timeout_ms", options.connect_timeout.count()},
          {"stall_timeout_ms", options.stall_timeout.count()},
          {"slow_timeout_ms", options.slow_timeout.count()},
          {"retry_delay_ms", options.retry_delay.count()},
          {"max_retry_delay_ms", options.max_retry_delay.count()},
          {"grace_after_failure_ms", options.grace_after_failure.count()}};
}

std::optional<Failure> failure_of(const Json& error) {
  if (error.is_null()) return std::nullopt;
  return Failure{.code = parse_code(error.at("code").get<std::string>()),
                 .message = error.at("message").get<std::string>(),
                 .fix = error.at("fix").get<std::string>(),
                 .status = error.at("status").get<long>()};
}

Result result_of(const Json& value) {
  return {.received = value.at("received").get<std::uint64_t>(), .failure = failure_of(value.at("error"))};
}

FetchOptions options_of(const Json& value) {
  const auto milliseconds = [&](const char* key) {
    return std::chrono::milliseconds(value.at(key).get<std::uint32_t>());
  };
  return {.parallel = value.at("parallel").get<unsigned>(),
          .retries = value.at("retries").get<unsigned>(),
          .connect_timeout = milliseconds("connect_timeout_ms"),
          .stall_timeout = milliseconds("stall_timeout_ms"),
          .slow_timeout = milliseconds("slow_timeout_ms"),
          .retry_delay = milliseconds("retry_delay_ms"),
          .max_retry_delay = milliseconds("max_retry_delay_ms"),
          .grace_after_failure = milliseconds("grace_after_failure_ms")};
}

}  // namespace

std::string encode(const Request& request) {
  Json files = Json::array();
  for (const Download& file : request.files) {
    files.push_back({{"label", file.label},
                     {"url", file.url},
                     {"sha256", file.sha256},
                     {"size", file.size},
                     {"accept", file.accept},
                     {"authorization", file.authorization}});
  }
  return dump({{"options", to_json(request.options)}, {"files", std::move(files)}});
}

Request parse_request(std::string_view text) {
  return checked("request", [&] {
    const Json value = parse_json(text, "request", {.max_bytes = kMaxRequestBytes, .max_depth = 4});
    Request request;
    request.options = options_of(value.at("options"));
    for (const Json& file : value.at("files")) {
      request.files.push_back({.label = file.at("label").get<std::string>(),
                               .url = file.at("url").get<std::string>(),
                               .sha256 = file.at("sha256").get<std::string>(),
                               .size = file.at("size").get<std::uint64_t>(),
                               .accept = file.at("accept").get<std::string>(),
                               .authorization = file.at("authorization").get<std::string>()});
    }
    return request;
  });
}

std::string encode(const Message& message) {
  return std::visit([](const auto& alternative) { return dump(to_json(alternative)); }, message) + "\n";
}

Message parse_message(std::string_view line) {
  return checked("message of karapace-fetch", [&]() -> Message {
    const Json value =
        parse_json(line, "message of karapace-fetch", {.max_bytes = kMaxMessageBytes, .max_depth = 4});
    if (value.contains("note")) return Note{.text = value.at("note").get<std::string>()};
    if (value.contains("verified")) return Verified{.sha256 = value.at("verified").get<std::string>()};
    if (value.contains("present")) return Present{.sha256 = value.at("present").get<std::string>()};
    if (value.contains("result")) return result_of(value.at("result"));
    return Progress{.bytes = value.at("bytes").get<std::uint64_t>(),
                    .total = value.at("total").get<std::uint64_t>(),
                    .files_done = value.at("files_done").get<std::uint64_t>(),
                    .files_total = value.at("files_total").get<std::uint64_t>(),
                    .rate = value.at("rate").get<std::uint64_t>()};
  });
}

std::string encode(const FetchOptions& options) { return dump(to_json(options)) + "\n"; }

FetchOptions parse_options(std::string_view line) {
  return checked("options", [&] {
    return options_of(parse_json(line, "options", {.max_bytes = kMaxMessageBytes, .max_depth = 2}));
  });
}

std::string encode(const WebRequest& request) {
  return dump({{"url", request.url},
               {"accept", request.accept},
               {"authorization", request.authorization},
               {"form", request.form},
               {"max_bytes", request.max_bytes}}) +
         "\n";
}

WebRequest parse_web_request(std::string_view line) {
  return checked("request", [&]() -> WebRequest {
    const Json value = parse_json(line, "request", {.max_bytes = kMaxMessageBytes, .max_depth = 2});
    return {.url = value.at("url").get<std::string>(),
            .accept = value.at("accept").get<std::string>(),
            .authorization = value.at("authorization").get<std::string>(),
            .form = value.at("form").get<std::string>(),
            .max_bytes = value.at("max_bytes").get<std::uint64_t>()};
  });
}

std::string encode(const Answer& answer) {
  return dump({{"status", answer.reply.status},
               {"media_type", answer.reply.media_type},
               {"content_digest", answer.reply.content_digest},
               {"challenges", answer.reply.challenges},
               {"sha256", answer.reply.sha256},
               {"body_bytes", answer.body_bytes},
               {"error", to_json(answer.failure)}}) +
         "\n";
}

Answer parse_answer(std::string_view line) {
  return checked("answer of karapace-fetch", [&] {
    const Json value =
        parse_json(line, "answer of karapace-fetch", {.max_bytes = kMaxMessageBytes, .max_depth = 4});
    Answer answer;
    answer.reply.status = value.at("status").get<long>();
    answer.reply.media_type = value.at("media_type").get<std::string>();
    answer.reply.content_digest = value.at("content_digest").get<std::string>();
    answer.reply.challenges = value.at("challenges").get<std::vector<std::string>>();
    answer.reply.sha256 = value.at("sha256").get<std::string>();
    answer.body_bytes = value.at("body_bytes").get<std::uint64_t>();
    answer.failure = failure_of(value.at("error"));
    return answer;
  });
}

}  // namespace karapace::remote::protocol
