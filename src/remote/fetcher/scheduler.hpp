// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <curl/curl.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fetch_protocol.hpp"
#include "fetcher/job.hpp"
#include "fetcher/transfer.hpp"
#include "karapace/base/unique_fd.hpp"

namespace karapace::fetcher {

/// Runs all downloads of a request on one thread: hashing what is there, transfers side by side, retries.
///
/// After the first failure nothing new begins, and transfers under way get a moment to end: what is nearly
/// there is not thrown away, and failures of others can be counted.
class Scheduler {
 public:
  /// `stop` is readable when we shall end. `out` takes the messages of the protocol.
  Scheduler(const remote::protocol::Request& request, FdRef downloads, FdRef packages, FdRef stop, FdRef out);
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  enum class End { Finished, Stopped };
  /// Finished: the result was sent, also if it is a failure.
  End run();

 private:
  struct Slot {
    explicit Slot(const remote::FetchOptions& options) : transfer(options) {}
    Transfer transfer;
    std::optional<Job> job;
    bool hashing = false;
    bool transferring = false;
  };
  struct FreeMulti {
    void operator()(CURLM* multi) const noexcept { curl_multi_cleanup(multi); }
  };

  void send(const remote::protocol::Message& message);
  void fill_slots();
  void start(Slot& slot, Job job);
  void step(Slot& slot);
  void begin_transfer(Slot& slot);
  void collect_ended();
  void end_silent();
  void end_slow();
  void conclude(Slot& slot, const Outcome& outcome);
  void end_transfer(Slot& slot) noexcept;
  void proceed(Slot& slot, Job::Next next);
  void put_back(Slot& slot, Clock::time_point not_before);
  void finish(Slot& slot);
  void fail(Slot& slot, const Error& error);
  void abandon(Slot& slot);
  void give_up_if_failed();
  [[nodiscard]] bool busy() const;
  [[nodiscard]] int wait_time() const;
  /// False if we shall end.
  [[nodiscard]] bool wait();
  void report_progress(bool now);
  [[nodiscard]] std::uint64_t total_size();
  void send_result();

  const remote::protocol::Request& request_;
  FdRef downloads_;
  FdRef packages_;
  FdRef stop_;
  FdRef out_;

  std::unique_ptr<CURLM, FreeMulti> multi_;
  std::deque<Job> queue_;
  std::vector<std::unique_ptr<Slot>> slots_;

  std::optional<remote::protocol::Failure> failure_;
  std::size_t other_failures_ = 0;
  Clock::time_point give_up_at_{};

  std::map<std::string, std::uint64_t>
      told_sizes_;  // by servers, while files whose size was not declared arrive
  bool told_of_waiting_ = false;
  std::uint64_t received_ = 0;
  std::uint64_t done_bytes_ = 0;
  std::uint64_t files_done_ = 0;
  Clock::time_point reported_at_{};
  std::uint64_t reported_bytes_ = 0;
  std::uint64_t reported_received_ = 0;
  std::uint64_t rate_ = 0;
};

}  // namespace karapace::fetcher
