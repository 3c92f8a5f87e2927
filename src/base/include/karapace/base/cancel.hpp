// SPDX-License-Identifier: Apache-2.0
// Ctrl-C. A token is asked between two steps; long waits poll its descriptor.
#pragma once

#include "karapace/base/unique_fd.hpp"

namespace karapace {

/// Set by SIGINT, SIGTERM and SIGHUP once install_cancel_handlers() was called (by main only).
/// A second signal ends the process at once with 128 + n.
class CancelToken {
 public:
  /// The token of this process.
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
};

void install_cancel_handlers();

}  // namespace karapace
