// SPDX-License-Identifier: Apache-2.0
#include "fetcher/job.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "fetcher/url.hpp"
#include "karapace/base/text.hpp"

namespace karapace::fetcher {

namespace {

constexpr unsigned kMaxRedirects = 5;
// A connection that brought so much was a good one: the next break counts as the first. Less would let a
// server that gives a byte at a time keep us for ever.
constexpr std::uint64_t kProgressBytes = std::uint64_t{1} * 1024 * 1024;

constexpr const char* kResolveAgain =
    "If the file was replaced or removed on purpose, resolve again with --update.";
constexpr const char* kTryAgain =
    "Check the network and run the command again: it continues where it stopped.";

}  // namespace

void Job::open(PartFile part) {
  part_.emplace(std::move(part));
  go_to_origin();
}

void Job::go_to_origin() {
  url_ = file_->url;
  redirects_ = 0;
  left_origin_ = false;
}

Job::Next Job::hash(FdRef downloads) {
  if (part_->hash_more()) return Next::Hash;
  const std::uint64_t size = part_->size();
  progress_mark_ = size;
  if (file_->size != 0 && size == file_->size) return complete(downloads);
  if (file_->size == 0 && size > 0 && part_->digest() == file_->sha256) return Next::Done;
  const std::uint64_t limit = file_->size != 0 ? file_->size : remote::kMaxUnknownSize;
  if (part_->is_ours_alone() && size < limit) return Next::Transfer;
  // Too long, or left half-way into the store by a process that ended: not to be written any more. This costs
  // no attempt, since nothing of it came from the server in this run.
  part_->unlink(downloads);
  part_.reset();
  return Next::Again;
}

Job::Next Job::complete(FdRef downloads) {
  const std::string digest = part_->digest();
  if (digest == file_->sha256) return Next::Done;
  return start_over(downloads,
                    fmt::format("the sha256 is wrong: expected {}, got {}", file_->sha256, digest));
}

Job::Next Job::start_over(FdRef downloads, const std::string& reason) {
  part_->unlink(downloads);
  part_.reset();
  // Once: what an interrupted call left, or a cache on the way, may be to blame. Twice is the server.
  if (std::exchange(from_scratch_, true)) fail(reason, kResolveAgain);
  return Next::Again;
}

Job::Next Job::after(const Outcome& outcome, FdRef downloads) {
  switch (outcome.kind) {
    case Outcome::Kind::Complete:
      return complete(downloads);
    case Outcome::Kind::Redirect:
      return redirect(outcome.detail);
    case Outcome::Kind::TryLater:
      return try_later(outcome);
    case Outcome::Kind::TooSlow:
      fail(outcome.detail,
           "Run the command again, which goes on where it stopped, or name another server with "
           "KARAPACE_MIRROR.",
           0, ErrorCode::Unavailable);
    case Outcome::Kind::WrongContent:
      return start_over(downloads, fmt::format("{} (sha256 {})", outcome.detail, file_->sha256));
    case Outcome::Kind::Refused:
      fail(outcome.detail, outcome.status == 404 || outcome.status == 410 ? kResolveAgain : "",
           left_origin_ ? 0 : outcome.status);
  }
  throw Error(ErrorCode::Internal, "a transfer ended in an unknown way");
}

Job::Next Job::redirect(const std::string& location) {
  if (location.size() > remote::kMaxUrlBytes) fail("the server redirects to an endless address", "");
  if (!redirect_is_allowed(url_, location))
    fail(fmt::format("the server redirects to {}, which is refused", shown_url(location)), "");
  if (++redirects_ > kMaxRedirects) fail(fmt::format("more than {} redirects", kMaxRedirects), "");
  if (!same_origin(file_->url, location)) left_origin_ = true;
  url_ = location;
  return Next::Transfer;
}

Job::Next Job::try_later(const Outcome& outcome) {
  if (part_->size() >= progress_mark_ + kProgressBytes) attempts_ = 0;
  progress_mark_ = part_->size();
  if (attempts_++ >= options_->retries)
    fail(fmt::format("{} (tried {} times)", outcome.detail, attempts_), kTryAgain, 0, ErrorCode::Unavailable);
  auto pause = options_->retry_delay * (1U << std::min(attempts_ - 1, 16U));
  if (outcome.retry_after) pause = std::max<std::chrono::milliseconds>(pause, *outcome.retry_after);
  not_before_ = Clock::now() + std::min(pause, options_->max_retry_delay);
  go_to_origin();
  return Next::Transfer;
}

void Job::close(FdRef downloads) {
  if (part_ && part_->size() == 0 && part_->is_ours_alone()) part_->unlink(downloads);
  part_.reset();
}

void Job::fail(const std::string& reason, std::string fix, long status, ErrorCode code) const {
  throw HttpError(code,
                  fmt::format("cannot download {} from {}: {}", file_->label, shown_url(file_->url),
                              printable(reason, 600)),
                  std::move(fix), status);
}

}  // namespace karapace::fetcher
