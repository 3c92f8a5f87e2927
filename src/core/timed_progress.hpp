// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "karapace/base/progress.hpp"
#include "karapace/core/engine.hpp"

namespace karapace::core {

/// Hands everything on and notes how long each step took. Whoever does the work announces its steps.
class TimedProgress final : public ProgressSink {
 public:
  explicit TimedProgress(ProgressSink& next) : next_(next), began_(std::chrono::steady_clock::now()) {}

  void step(std::string_view name, std::string_view detail) override {
    end_step();
    times_.push_back({std::string(name), std::chrono::milliseconds(0)});
    next_.step(name, detail);
  }
  void advance(std::uint64_t done, std::uint64_t total, std::string_view unit) override {
    next_.advance(done, total, unit);
  }
  void note(std::string_view text) override { next_.note(text); }

  /// The last step ends now.
  std::vector<StepTime> finish() {
    end_step();
    return times_;
  }

 private:
  void end_step() {
    const auto time = std::chrono::steady_clock::now();
    if (!times_.empty()) {
      times_.back().time += std::chrono::duration_cast<std::chrono::milliseconds>(time - began_);
    }
    began_ = time;
  }

  ProgressSink& next_;
  std::vector<StepTime> times_;
  std::chrono::steady_clock::time_point began_;
};

}  // namespace karapace::core
