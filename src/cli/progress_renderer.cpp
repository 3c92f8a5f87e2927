// SPDX-License-Identifier: Apache-2.0
#include "progress_renderer.hpp"

#include <fmt/format.h>
#include <signal.h>

#include <array>
#include <cstdlib>

#include "karapace/base/json.hpp"
#include "karapace/base/log.hpp"
#include "terminal.hpp"

namespace karapace::cli {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::array<std::string_view, 10> kFrames = {"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"};
constexpr milliseconds kFrameTime{80};
constexpr std::string_view kClearLine = "\r\x1b[K";
/// A rate over less than this says nothing.
constexpr milliseconds kRateAfter{500};

std::string amount(std::uint64_t value, std::string_view unit) {
  return unit == "bytes" ? format_bytes(value) : fmt::format("{}", value);
}

std::string position(const StepView& step) {
  if (step.done == 0 && step.total == 0) return {};
  if (step.total == 0)
    return fmt::format("  {}{}", amount(step.done, step.unit), step.unit == "bytes" ? "" : " " + step.unit);
  std::string text = fmt::format("  {} of {}", amount(step.done, step.unit), amount(step.total, step.unit));
  if (step.unit != "bytes") return text + " " + step.unit;
  return text + fmt::format("  {}%", step.done >= step.total ? 100 : step.done * 100 / step.total);
}

std::string rate(const StepView& step) {
  if (step.unit != "bytes" || step.done == 0 || step.elapsed < kRateAfter) return {};
  const auto per_second = step.done * 1000 / static_cast<std::uint64_t>(step.elapsed.count());
  std::string text = fmt::format("  {}/s", format_bytes(per_second));
  if (step.total > step.done && per_second > 0) {
    text += fmt::format("  {} s left", (step.total - step.done) / per_second + 1);
  }
  return text;
}

}  // namespace

std::string format_bytes(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  // 1023.95 would be shown as 1024.0.
  while (value >= 1023.95 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string format_duration(milliseconds time) {
  if (time < std::chrono::seconds(1)) return fmt::format("{} ms", time.count());
  if (time < std::chrono::minutes(1))
    return fmt::format("{:.1f} s", static_cast<double>(time.count()) / 1000);
  const auto seconds = time.count() / 1000;
  return fmt::format("{} min {:02} s", seconds / 60, seconds % 60);
}

std::string describe_step(const StepView& step) {
  std::string text = step.name;
  if (!step.detail.empty()) text += ": " + step.detail;
  return text + position(step) + rate(step);
}

ProgressRenderer::ProgressRenderer(Style style, bool colour) : style_(style), colour_(colour) {}

ProgressRenderer::~ProgressRenderer() { finish(Outcome::Failure); }

void ProgressRenderer::step(std::string_view name, std::string_view detail) {
  const std::lock_guard lock(mutex_);
  // Whoever plans a step and whoever carries it out may both announce it.
  if (active_ && current_.name == name && current_.detail == detail) return;
  end_step_locked(Outcome::Success);
  current_ = StepView{.name = printable(name), .detail = printable(detail), .unit = {}};
  started_ = steady_clock::now();
  active_ = true;
  if (style_ == Style::Plain) write_stderr(fmt::format("karapace: {}\n", describe_step(current_)));
  if (style_ != Style::Animated) return;
  draw_locked();
  if (animator_.joinable()) return;
  // Signals are for the main thread, whose system calls they are meant to interrupt.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  animator_ = std::jthread([this](const std::stop_token& stop) { animate(stop); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void ProgressRenderer::advance(std::uint64_t done, std::uint64_t total, std::string_view unit) {
  const std::lock_guard lock(mutex_);
  // Drawn with the next frame: a call per downloaded block must cost nothing.
  current_.done = done;
  current_.total = total;
  current_.unit = unit;
}

void ProgressRenderer::note(std::string_view text) {
  const std::lock_guard lock(mutex_);
  const bool drawn = style_ == Style::Animated && active_;
  write_stderr(fmt::format("{}karapace: {}\n", drawn ? kClearLine : "", printable(text, 1000)));
  if (drawn) draw_locked();
}

void ProgressRenderer::finish(Outcome outcome) {
  if (animator_.joinable()) {
    animator_.request_stop();
    wake_.notify_all();
    animator_.join();
  }
  const std::lock_guard lock(mutex_);
  end_step_locked(outcome);
}

void ProgressRenderer::animate(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    wake_.wait_for(lock, stop, kFrameTime, [] { return false; });
    if (stop.stop_requested()) return;
    ++frame_;
    if (active_) draw_locked();
  }
}

void ProgressRenderer::draw_locked() {
  current_.elapsed = std::chrono::duration_cast<milliseconds>(steady_clock::now() - started_);
  // The last column stays free: some terminals wrap when it is used. Spinner and space take two.
  const std::size_t columns = terminal_columns();
  const std::string text = describe_step(current_);
  write_stderr(fmt::format("{}{} {}", kClearLine, coloured(kFrames[frame_ % kFrames.size()], "36", colour_),
                           clip(text, columns > 3 ? columns - 3 : 0)));
}

void ProgressRenderer::end_step_locked(Outcome outcome) {
  if (!active_) return;
  active_ = false;
  if (style_ != Style::Animated) return;
  const auto elapsed = std::chrono::duration_cast<milliseconds>(steady_clock::now() - started_);
  const bool good = outcome == Outcome::Success;
  std::string text = current_.name;
  if (!current_.detail.empty()) text += ": " + current_.detail;
  // No rate: what counts at the end is how much and how long.
  text += fmt::format("{}  {}", position(current_), format_duration(elapsed));
  const std::size_t columns = terminal_columns();
  write_stderr(fmt::format("{}{} {}\n", kClearLine, coloured(good ? "✓" : "✗", good ? "32" : "31", colour_),
                           clip(text, columns > 3 ? columns - 3 : 0)));
}

ProgressRenderer::Style progress_style(bool json) {
  using enum ProgressRenderer::Style;
  const char* term = std::getenv("TERM");
  const bool capable = is_terminal(Stream::Err) && term != nullptr && std::string_view(term) != "dumb";
  // Log lines and a line that is drawn in place would overwrite each other.
  if (capable && !log::enabled(log::Level::Debug)) return Animated;
  return json ? Quiet : Plain;
}

}  // namespace karapace::cli
