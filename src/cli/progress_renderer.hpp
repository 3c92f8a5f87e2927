// SPDX-License-Identifier: Apache-2.0
// Progress of a build on standard error.
//
// On a terminal: one line per step, drawn again in place at most every 80 ms by a thread of its own, because
// a step may be silent for long (a package that configures itself) and must not look dead. It ends with a
// check mark or a cross. Elsewhere: one plain line when a step begins, so that a log shows where the time
// went, and nothing else.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "karapace/base/progress.hpp"

namespace karapace::cli {

/// What a step looks like at one moment. Pure, so that tests can look at it.
struct StepView {
  std::string name;
  std::string detail;
  std::uint64_t done = 0;
  std::uint64_t total = 0;  // 0: unknown
  std::string unit;         // "bytes", "packages", "files"
  std::chrono::milliseconds elapsed{0};
};
/// "download  12.3 MiB of 48.0 MiB  26%  8.1 MiB/s  4 s left"
[[nodiscard]] std::string describe_step(const StepView& step);
/// "12.3 MiB"; "812 B".
[[nodiscard]] std::string format_bytes(std::uint64_t bytes);
/// "340 ms", "4.2 s", "3 min 05 s".
[[nodiscard]] std::string format_duration(std::chrono::milliseconds time);

class ProgressRenderer final : public ProgressSink {
 public:
  enum class Style {
    Animated,  // a terminal
    Plain,     // a line per step
    Quiet,     // notes only: --json
  };
  explicit ProgressRenderer(Style style, bool colour);
  ~ProgressRenderer() override;
  ProgressRenderer(const ProgressRenderer&) = delete;
  ProgressRenderer& operator=(const ProgressRenderer&) = delete;

  void step(std::string_view name, std::string_view detail) override;
  void advance(std::uint64_t done, std::uint64_t total, std::string_view unit) override;
  void note(std::string_view text) override;

  enum class Outcome { Success, Failure };
  /// Ends the last line. Without it the destructor reports the step as failed.
  void finish(Outcome outcome);

 private:
  void animate(const std::stop_token& stop);
  void draw_locked();
  void end_step_locked(Outcome outcome);

  const Style style_;
  const bool colour_;
  std::mutex mutex_;  // everything below
  std::condition_variable_any wake_;
  StepView current_;
  bool active_ = false;
  std::chrono::steady_clock::time_point started_;
  std::size_t frame_ = 0;
  std::jthread animator_;
};

/// The style that suits standard error, --json and the log level.
[[nodiscard]] ProgressRenderer::Style progress_style(bool json);

}  // namespace karapace::cli
