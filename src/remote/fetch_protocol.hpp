// SPDX-License-Identifier: Apache-2.0
// What fetch_all and karapace-fetch say to each other. Descriptors of karapace-fetch:
//   0  the request, one JSON document      1  messages, one JSON object a line      2  text for people
//   3  store/downloads                     4  store/packages
// Messages: {"bytes","total","files_done","files_total","rate"} now and then; {"note": text};
// {"verified": sha256} for each file that is complete in store/downloads; {"present": sha256} for each that
// turned out to be in store/packages; at the end one {"result": {"received", "error"}}.
//
// With the argument "--ask" it answers requests for small documents instead (Web): the first line on
// descriptor 0 is the options, each further one a request, until end of file. To each an answer in one line
// on descriptor 1; the bytes of the body follow it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "karapace/base/error.hpp"
#include "karapace/remote/fetch.hpp"
#include "karapace/remote/web.hpp"

namespace karapace::remote::protocol {

inline constexpr int kDownloadsFd = 3;
inline constexpr int kPackagesFd = 4;

struct Request {
  FetchOptions options;
  std::vector<Download> files;
};

struct Progress {
  std::uint64_t bytes = 0;
  std::uint64_t total = 0;  // 0: not known
  std::uint64_t files_done = 0;
  std::uint64_t files_total = 0;
  std::uint64_t rate = 0;  // bytes a second, lately
};
struct Note {
  std::string text;
};
struct Verified {
  std::string sha256;
};
struct Present {
  std::string sha256;
};
struct Failure {
  ErrorCode code = ErrorCode::Internal;
  std::string message;
  std::string fix;
  long status = 0;  // of HTTP, where a server's answer is what failed
};
struct Result {
  std::uint64_t received = 0;
  std::optional<Failure> failure;
};
using Message = std::variant<Progress, Note, Verified, Present, Result>;

/// What karapace-fetch --ask says before the body.
struct Answer {
  WebReply reply;  // without its body
  std::uint64_t body_bytes = 0;
  std::optional<Failure> failure;
};

inline constexpr const char* kAskArgument = "--ask";

[[nodiscard]] std::string encode(const Request& request);
/// Throws InvalidInput.
[[nodiscard]] Request parse_request(std::string_view text);
/// One line, with its newline.
[[nodiscard]] std::string encode(const Message& message);
/// Throws InvalidInput.
[[nodiscard]] Message parse_message(std::string_view line);

// Each one line, with its newline. The parsers throw InvalidInput.
[[nodiscard]] std::string encode(const FetchOptions& options);
[[nodiscard]] FetchOptions parse_options(std::string_view line);
[[nodiscard]] std::string encode(const WebRequest& request);
[[nodiscard]] WebRequest parse_web_request(std::string_view line);
[[nodiscard]] std::string encode(const Answer& answer);
[[nodiscard]] Answer parse_answer(std::string_view line);

}  // namespace karapace::remote::protocol
