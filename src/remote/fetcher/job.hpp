// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "fetcher/part_file.hpp"
#include "fetcher/transfer.hpp"
#include "karapace/base/error.hpp"
#include "karapace/remote/fetch.hpp"

namespace karapace::fetcher {

using Clock = std::chrono::steady_clock;

/// What a server answered is why a download fails.
class HttpError : public Error {
 public:
  HttpError(ErrorCode code, std::string message, std::string fix, long status)
      : Error(code, std::move(message), std::move(fix)), status_(status) {}
  [[nodiscard]] long status() const noexcept { return status_; }

 private:
  long status_;
};

/// One file to fetch, and how far it is. Knows the rules (when to retry, resume, start over, give up); does
/// no I/O but that of its PartFile.
class Job {
 public:
  enum class Next {
    Hash,      // some bytes are there; hash more of them
    Transfer,  // ask the server from size() on, not before not_before()
    Done,      // complete and right
    Again,     // the part file was given up; open it anew
  };

  Job(const remote::Download& file, const remote::FetchOptions& options) : file_(&file), options_(&options) {}

  [[nodiscard]] const remote::Download& file() const noexcept { return *file_; }
  [[nodiscard]] PartFile* part() noexcept { return part_ ? &*part_ : nullptr; }
  [[nodiscard]] const std::string& url() const noexcept { return url_; }
  /// What the server of url() may know about us.
  [[nodiscard]] std::string authorization() const {
    return left_origin_ ? std::string() : file_->authorization;
  }
  [[nodiscard]] Clock::time_point not_before() const noexcept { return not_before_; }
  void wait_until(Clock::time_point time) noexcept { not_before_ = time; }
  [[nodiscard]] bool from_scratch() const noexcept { return from_scratch_; }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return part_ ? part_->size() : 0; }

  void open(PartFile part);
  /// A slice of what an earlier call left. Returns Hash until all of it is hashed.
  [[nodiscard]] Next hash(FdRef downloads);
  /// What to do after a transfer. Throws Error (InvalidInput) when there is no hope.
  [[nodiscard]] Next after(const Outcome& outcome, FdRef downloads);
  /// Gives up the lock; an empty part file is removed.
  void close(FdRef downloads);

 private:
  [[nodiscard]] Next complete(FdRef downloads);
  [[nodiscard]] Next start_over(FdRef downloads, const std::string& reason);
  [[nodiscard]] Next try_later(const Outcome& outcome);
  void go_to_origin();
  [[nodiscard]] Next redirect(const std::string& location);
  [[noreturn]] void fail(const std::string& reason, std::string fix, long status = 0,
                         ErrorCode code = ErrorCode::InvalidInput) const;

  const remote::Download* file_;
  const remote::FetchOptions* options_;
  std::optional<PartFile> part_;
  std::string url_;
  Clock::time_point not_before_{};
  unsigned attempts_ = 0;     // that broke, since there was progress
  unsigned redirects_ = 0;    // of the current request
  bool left_origin_ = false;  // a redirect led to another server
  std::uint64_t progress_mark_ = 0;
  bool from_scratch_ = false;
};

}  // namespace karapace::fetcher
