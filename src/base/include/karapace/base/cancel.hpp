// SPDX-License-Identifier: Apache-2.0
// Ctrl-C. A token is asked between two steps; long waits poll its descriptor.
#pragma once

#include <atomic>

#include "karapace/base/unique_fd.hpp"

namespace karapace {

/// A request to stop. Safe to use from several threads; request() also from a signal handler.
class CancelToken {
 public:
  CancelToken();
  CancelToken(const CancelToken&) = delete;
  CancelToken& operator=(const CancelToken&) = delete;
  ~CancelToken() = default;

  /// The token of this process: set by SIGINT, SIGTERM and SIGHUP once install_cancel_handlers() was called.
  [[nodiscard]] static CancelToken& process();
  [[nodiscard]] bool requested() const noexcept;
  [[nodiscard]] int signal_number() const noexcept;
  /// Throws Cancelled if it was requested.
  void check() const;
  /// Readable once cancelled; for poll(2).
  [[nodiscard]] FdRef poll_fd() const noexcept;
  /// For tests and for the D-Bus service.
  void request(int signal_number) noexcept;
  void reset() noexcept;

 private:
  std::atomic<int> signal_{0};
  UniqueFd event_;
};

/// For main only. The first signal sets the token of this process, a second one ends the process at once with
/// 128 + n. A signal that was ignored at the start (nohup, background jobs) stays ignored. System calls are
/// interrupted (no SA_RESTART), so that a blocking one returns with EINTR and the token can be asked.
void install_cancel_handlers();

}  // namespace karapace
