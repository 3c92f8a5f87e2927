// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "karapace/base/progress.hpp"
#include "karapace/core/engine.hpp"

namespace karapace::core {

/// Hands everything on and notes how long each step took. Whoever does the work announces its steps; what
/// lies between two announcements belongs to the first, so nothing is left out and all steps together take as
/// long as the whole.
class TimedProgress final : public ProgressSink {
 public:
  using Clock = std::chrono::steady_clock;

  TimedProgress(ProgressSink& next, Clock::time_point began) : next_(next), began_(began) {
    begin("prepare");
  }

  /// Steps from here on are about this ("base", "packages"), or about everything (empty).
  void part(std::string_view name) { part_ = name; }
  /// A step that is too short to be shown.
  void quiet_step(std::string_view name) {
    end_step();
    begin(name);
  }

  void step(std::string_view name, std::string_view detail) override {
    quiet_step(name);
    next_.step(name, detail);
  }
  void advance(std::uint64_t done, std::uint64_t total, std::string_view unit) override {
    next_.advance(done, total, unit);
  }
  void note(std::string_view text) override {
    notes_.emplace_back(text);
    next_.note(text);
  }
  [[nodiscard]] const std::vector<std::string>& notes() const noexcept { return notes_; }

  /// The current step ends now.
  std::vector<StepTime> finish() {
    end_step();
    return times_;
  }

 private:
  void begin(std::string_view name) {
    const auto same = [&](const StepTime& time) { return time.step == name && time.part == part_; };
    const auto found = std::ranges::find_if(times_, same);
    current_ = static_cast<std::size_t>(found - times_.begin());
    if (found == times_.end()) times_.push_back({std::string(name), part_, std::chrono::milliseconds(0)});
  }
  void end_step() {
    // Of the whole and not of the step, or what is cut off adds up.
    const auto elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began_);
    times_[current_].time += elapsed - counted_;
    counted_ = elapsed;
  }

  ProgressSink& next_;
  Clock::time_point began_;
  std::chrono::milliseconds counted_{0};
  std::string part_;
  std::vector<StepTime> times_;
  std::vector<std::string> notes_;
  std::size_t current_ = 0;
};

}  // namespace karapace::core
