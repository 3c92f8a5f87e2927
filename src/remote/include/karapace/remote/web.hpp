// SPDX-License-Identifier: Apache-2.0
// Small documents from servers: manifests, tokens, indexes of images. The requests are made by
// karapace-fetch, so that no TLS library is in this process.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "karapace/base/cancel.hpp"
#include "karapace/remote/fetch.hpp"

namespace karapace::remote {

struct WebRequest {
  std::string url;            // http or https
  std::string accept;         // empty: any type
  std::string authorization;  // goes to the server of `url` only, never where that redirects to
  std::string form;           // not empty: sent by POST as application/x-www-form-urlencoded
  std::uint64_t max_bytes = std::uint64_t{4} * 1024 * 1024;  // of the body; a longer one is an error
};

struct WebReply {
  long status = 0;
  std::string media_type;               // Content-Type without parameters, lower case
  std::string content_digest;           // Docker-Content-Digest
  std::vector<std::string> challenges;  // each WWW-Authenticate header
  std::string body;
  std::string sha256;  // of the body
};

/// Asks one thing after the other, over one connection where the server allows it.
class Web {
 public:
  /// `fetch_program` is the absolute path of karapace-fetch; it is started with the first request.
  Web(std::string fetch_program, const FetchOptions& options, CancelToken& cancel);
  ~Web();
  Web(const Web&) = delete;
  Web& operator=(const Web&) = delete;

  /// The server's answer, whatever its status. Follows redirects (never from https to http). What breaks or
  /// is answered 429 or 5xx is tried again as FetchOptions say. Throws Unavailable if there is no answer,
  /// InvalidInput if it is one that nobody can want (too long, a redirect to another scheme), Cancelled.
  [[nodiscard]] WebReply ask(const WebRequest& request);

 private:
  class Process;
  std::string program_;
  FetchOptions options_;
  CancelToken& cancel_;
  std::unique_ptr<Process> process_;
};

}  // namespace karapace::remote
