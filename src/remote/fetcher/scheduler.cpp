// SPDX-License-Identifier: Apache-2.0
#include "fetcher/scheduler.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <utility>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"

namespace karapace::fetcher {

using remote::protocol::Failure;
using remote::protocol::Message;

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kProgressInterval(100);
// Also how soon we notice that nobody reads any more.
constexpr milliseconds kAliveInterval(1000);
constexpr milliseconds kLockPollInterval(100);

void check(CURLMcode code) {
  if (code != CURLM_OK)
    throw Error(ErrorCode::Internal, fmt::format("libcurl: {}", curl_multi_strerror(code)));
}

}  // namespace

Scheduler::Scheduler(const remote::protocol::Request& request, FdRef downloads, FdRef packages, FdRef stop,
                     FdRef out)
    : request_(request),
      downloads_(downloads),
      packages_(packages),
      stop_(stop),
      out_(out),
      multi_(curl_multi_init()) {
  if (!multi_) throw std::bad_alloc();
  const unsigned parallel = std::max(1U, request.options.parallel);
  curl_multi_setopt(multi_.get(), CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_MULTIPLEX));
  curl_multi_setopt(multi_.get(), CURLMOPT_MAXCONNECTS, static_cast<long>(parallel) * 2);
  for (unsigned i = 0; i < parallel; ++i) slots_.push_back(std::make_unique<Slot>(request.options));
  for (const remote::Download& file : request.files) queue_.emplace_back(file, request.options);
}

Scheduler::~Scheduler() {
  for (const auto& slot : slots_) end_transfer(*slot);
}

void Scheduler::send(const Message& message) { write_all(out_, remote::protocol::encode(message)); }

Scheduler::End Scheduler::run() {
  while (true) {
    fill_slots();
    for (const auto& slot : slots_) step(*slot);
    int running = 0;
    check(curl_multi_perform(multi_.get(), &running));
    collect_ended();
    end_silent();
    end_slow();
    give_up_if_failed();
    if (!busy() && queue_.empty()) break;
    report_progress(false);
    if (!wait()) {
      for (const auto& slot : slots_) abandon(*slot);
      return End::Stopped;
    }
  }
  report_progress(true);
  send_result();
  return End::Finished;
}

void Scheduler::fill_slots() {
  const auto now = Clock::now();
  for (const auto& slot : slots_) {
    if (slot->job) continue;
    const auto next = std::ranges::find_if(queue_, [&](const Job& job) { return job.not_before() <= now; });
    if (next == queue_.end()) return;
    Job job = std::move(*next);
    queue_.erase(next);
    start(*slot, std::move(job));
  }
}

void Scheduler::start(Slot& slot, Job job) {
  slot.job.emplace(std::move(job));
  const std::string& sha256 = slot.job->file().sha256;
  try {
    auto part = PartFile::try_open(downloads_, sha256);
    if (!part) {
      if (!std::exchange(told_of_waiting_, true))
        send(remote::protocol::Note{
            fmt::format("waiting for another karapace that is downloading {}", slot.job->file().label)});
      return put_back(slot, Clock::now() + kLockPollInterval);
    }
    // Asked with the lock held: whoever had it before has either left the bytes here or moved them there.
    if (exists_at(packages_, sha256)) {
      part->unlink(downloads_);
      slot.job.reset();
      ++files_done_;
      return send(remote::protocol::Present{sha256});
    }
    slot.job->open(std::move(*part));
    slot.hashing = true;
  } catch (const Error& error) {
    fail(slot, error);
  }
}

void Scheduler::step(Slot& slot) {
  if (!slot.job || slot.transferring) return;
  try {
    if (slot.hashing) return proceed(slot, slot.job->hash(downloads_));
    if (slot.job->not_before() <= Clock::now()) begin_transfer(slot);
  } catch (const Error& error) {
    fail(slot, error);
  }
}

void Scheduler::begin_transfer(Slot& slot) {
  Job& job = *slot.job;
  slot.transfer.prepare({.url = job.url(),
                         .size = job.file().size,
                         .accept = job.file().accept,
                         .authorization = job.authorization(),
                         .bypass_caches = job.from_scratch()},
                        *job.part());
  curl_easy_setopt(slot.transfer.handle(), CURLOPT_PRIVATE, static_cast<void*>(&slot));
  check(curl_multi_add_handle(multi_.get(), slot.transfer.handle()));
  slot.transferring = true;
}

void Scheduler::end_transfer(Slot& slot) noexcept {
  if (!std::exchange(slot.transferring, false)) return;
  received_ += slot.transfer.received();
  curl_multi_remove_handle(multi_.get(), slot.transfer.handle());
}

void Scheduler::collect_ended() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;  // `message` is gone once the handle is removed
    char* data = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &data);
    Slot& slot = *static_cast<Slot*>(static_cast<void*>(data));
    try {
      conclude(slot, slot.transfer.outcome(code));
    } catch (const Error& error) {
      fail(slot, error);
    }
  }
}

// Not left to libcurl: its speed is a mean of the last five seconds, so it would notice that much later.
void Scheduler::end_silent() {
  const auto limit = request_.options.stall_timeout;
  for (const auto& slot : slots_) {
    if (!slot->transferring || slot->transfer.silence() < limit) continue;
    conclude(*slot, {.kind = Outcome::Kind::TryLater,
                     .detail = fmt::format("no bytes for {} s",
                                           std::chrono::ceil<std::chrono::seconds>(limit).count()),
                     .retry_after = std::nullopt});
  }
}

// Not tried again: each attempt would make a little progress, and so there would always be another.
void Scheduler::end_slow() {
  const auto span = request_.options.slow_timeout;
  for (const auto& slot : slots_) {
    if (!slot->transferring || !slot->transfer.was_slow_for(span)) continue;
    conclude(*slot, {.kind = Outcome::Kind::TooSlow,
                     .detail = fmt::format("the server sends less than {} bytes per second for {} s",
                                           remote::kSlowBytesPerSecond,
                                           std::chrono::ceil<std::chrono::seconds>(span).count()),
                     .retry_after = std::nullopt});
  }
}

void Scheduler::conclude(Slot& slot, const Outcome& outcome) {
  try {
    end_transfer(slot);
    proceed(slot, slot.job->after(outcome, downloads_));
  } catch (const Error& error) {
    fail(slot, error);
  }
}

void Scheduler::proceed(Slot& slot, Job::Next next) {
  slot.hashing = next == Job::Next::Hash;
  switch (next) {
    case Job::Next::Hash:
    case Job::Next::Transfer:
      return;
    case Job::Next::Done:
      return finish(slot);
    case Job::Next::Again:
      return put_back(slot, Clock::time_point{});
  }
}

void Scheduler::put_back(Slot& slot, Clock::time_point not_before) {
  slot.job->wait_until(not_before);
  queue_.push_back(std::move(*slot.job));
  slot.job.reset();
}

void Scheduler::finish(Slot& slot) {
  done_bytes_ += slot.job->bytes();
  ++files_done_;
  const std::string sha256 = slot.job->file().sha256;
  told_sizes_[sha256] = slot.job->bytes();
  slot.job.reset();  // unlocks
  send(remote::protocol::Verified{sha256});
}

void Scheduler::fail(Slot& slot, const Error& error) {
  if (failure_) {
    ++other_failures_;
  } else {
    const auto* answer = dynamic_cast<const HttpError*>(&error);
    failure_ = Failure{.code = error.code(),
                       .message = error.message(),
                       .fix = error.fix(),
                       .status = answer == nullptr ? 0 : answer->status()};
    // Trouble on this side says only which call failed.
    if (dynamic_cast<const SystemError*>(&error) != nullptr && slot.job)
      failure_->message =
          fmt::format("cannot keep the download of {}: {}", slot.job->file().label, error.message());
    // On a full disk the others can only fail, too.
    give_up_at_ = Clock::now() + (error.code() == ErrorCode::NoSpace ? milliseconds(0)
                                                                     : request_.options.grace_after_failure);
  }
  abandon(slot);
}

void Scheduler::abandon(Slot& slot) {
  end_transfer(slot);
  if (slot.job) slot.job->close(downloads_);
  slot.job.reset();
  slot.hashing = false;
}

void Scheduler::give_up_if_failed() {
  if (!failure_) return;
  queue_.clear();
  const bool at_once = Clock::now() >= give_up_at_;
  for (const auto& slot : slots_) {
    if (at_once || !slot->transferring) abandon(*slot);
  }
}

bool Scheduler::busy() const {
  return std::ranges::any_of(slots_, [](const auto& slot) { return slot->job.has_value(); });
}

int Scheduler::wait_time() const {
  auto until = Clock::now() + kProgressInterval;
  for (const auto& slot : slots_) {
    if (!slot->job) {
      if (!queue_.empty() && queue_.front().not_before() <= Clock::now()) return 0;
      continue;
    }
    if (slot->hashing) return 0;
    if (!slot->transferring) until = std::min(until, slot->job->not_before());
  }
  if (failure_) until = std::min(until, give_up_at_);
  const auto left = std::chrono::ceil<milliseconds>(until - Clock::now()).count();
  return static_cast<int>(std::max<std::int64_t>(0, left));
}

bool Scheduler::wait() {
  curl_waitfd stop{.fd = stop_.get(), .events = CURL_WAIT_POLLIN, .revents = 0};
  check(curl_multi_poll(multi_.get(), &stop, 1, wait_time(), nullptr));
  return stop.revents == 0;
}

void Scheduler::report_progress(bool now) {
  const auto time = Clock::now();
  const auto passed = time - reported_at_;
  if (!now && passed < kProgressInterval) return;
  remote::protocol::Progress progress{.bytes = done_bytes_,
                                      .total = 0,
                                      .files_done = files_done_,
                                      .files_total = request_.files.size(),
                                      .rate = 0};
  std::uint64_t received = received_;
  for (const auto& slot : slots_) {
    if (!slot->job) continue;
    progress.bytes += slot->job->bytes();
    if (slot->transferring) received += slot->transfer.received();
  }
  if (!now && progress.bytes == reported_bytes_ && passed < kAliveInterval) return;
  if (reported_at_ != Clock::time_point{}) {
    const auto milli = std::max<std::int64_t>(1, std::chrono::duration_cast<milliseconds>(passed).count());
    const std::uint64_t recent = (received - reported_received_) * 1000 / static_cast<std::uint64_t>(milli);
    rate_ = rate_ == 0 ? recent : (rate_ * 7 + recent) / 8;  // about a second's average
  }
  progress.rate = rate_;
  progress.total = total_size();
  reported_at_ = time;
  reported_bytes_ = progress.bytes;
  reported_received_ = received;
  send(progress);
}

std::uint64_t Scheduler::total_size() {
  for (const auto& slot : slots_) {
    if (slot->transferring) told_sizes_[slot->job->file().sha256] = slot->transfer.known_size();
  }
  std::uint64_t total = 0;
  for (const remote::Download& file : request_.files) {
    std::uint64_t size = file.size;
    if (size == 0) {
      const auto told = told_sizes_.find(file.sha256);
      if (told != told_sizes_.end()) size = told->second;
    }
    if (size == 0) return 0;
    total += size;
  }
  return total;
}

void Scheduler::send_result() {
  if (failure_ && other_failures_ > 0)
    failure_->message +=
        fmt::format(" ({} other download{} failed, too)", other_failures_, other_failures_ == 1 ? "" : "s");
  send(remote::protocol::Result{.received = received_, .failure = failure_});
}

}  // namespace karapace::fetcher
