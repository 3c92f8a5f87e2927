// SPDX-License-Identifier: Apache-2.0
// Downloads declared by their sha256. The transfers run in a program of their own, karapace-fetch, so that
// libcurl and TLS are in no process that also starts sandboxes, and so that a cancelled download is a process
// that ends.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "karapace/base/cancel.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/progress.hpp"
#include "karapace/store/layout.hpp"

namespace karapace::remote {

inline constexpr std::size_t kMaxDownloads = 20000;
inline constexpr std::size_t kMaxUrlBytes = 8192;
inline constexpr std::size_t kMaxLabelBytes = 512;
inline constexpr std::size_t kMaxHeaderValueBytes = std::size_t{16} * 1024;
/// Most that a download of unknown size may have.
inline constexpr std::uint64_t kMaxUnknownSize = 64ULL * 1024 * 1024 * 1024;

struct Download {
  std::string label;       // what errors call it: "git 1:2.39.5-0+deb12u2 amd64"
  std::string url;         // http or https
  std::string sha256;      // 64 lower-case hex digits
  std::uint64_t size = 0;  // in bytes; 0: not known
  std::string accept{};    // header of the request; empty: any type
  /// Header of the request, "Bearer ...": goes to the server of `url` only, never where that redirects to.
  std::string authorization{};
};

/// The server wants to know who asks, or does not believe it.
class Unauthorized : public Error {
 public:
  using Error::Error;
};

inline constexpr std::uint64_t kSlowBytesPerSecond = 1024;

struct FetchOptions {
  unsigned parallel = 8;  // 1 to 32 transfers at once
  /// How often a transfer that broke (connection, 5xx, 429) is taken up again without progress in between.
  unsigned retries = 3;
  std::chrono::milliseconds connect_timeout = std::chrono::seconds(20);
  /// A transfer without a single byte for so long has broken.
  std::chrono::milliseconds stall_timeout = std::chrono::seconds(30);
  /// A file that comes slower than kSlowBytesPerSecond for so long is given up: it would never end.
  std::chrono::milliseconds slow_timeout = std::chrono::seconds(60);
  /// First pause before a retry; doubles each time.
  std::chrono::milliseconds retry_delay = std::chrono::milliseconds(500);
  /// Longest pause, also when the server's Retry-After asks for more.
  std::chrono::milliseconds max_retry_delay = std::chrono::seconds(30);
  /// After a failure nothing new begins, and what is under way has so long to end.
  std::chrono::milliseconds grace_after_failure = std::chrono::seconds(1);
};

struct FetchReport {
  std::uint64_t bytes = 0;  // received over the network; less than the sizes if something was resumed
  std::size_t fetched = 0;  // files that this call completed
  std::size_t skipped = 0;  // files that the store had, or that another process fetched meanwhile
};

/// Brings every download into store/packages, checked against its sha256. What the store has is skipped; what
/// an earlier call left in store/downloads/<sha256>.part is continued. Another process that fetches the same
/// file is waited for. On return everything survives a power cut. Blocks; progress is step "download" and
/// bytes.
///
/// Throws Unauthorized (InvalidInput) if the first failure is that a server answers 401;
/// InvalidInput if a download is malformed or cannot be obtained as declared (it names the first one,
/// and how many others failed), NoSpace, Cancelled. Files that were complete by then are kept in the store,
/// incomplete ones stay to be continued.
///
/// `fetch_program` is the absolute path of karapace-fetch.
FetchReport fetch_all(const store::StoreLayout& layout, const std::vector<Download>& downloads,
                      const FetchOptions& options, ProgressSink& progress, CancelToken& cancel,
                      const std::string& fetch_program);

/// Moves a complete file, whose sha256 and size the caller has checked, from `directory` into store/packages.
/// On return it survives a power cut.
void adopt_file(const store::StoreLayout& layout, FdRef directory, const std::string& name,
                const std::string& sha256);
/// The same for many files, which are named by their sha256; those of another name stay.
void adopt_files(const store::StoreLayout& layout, FdRef directory, const std::vector<std::string>& sha256s);

}  // namespace karapace::remote
