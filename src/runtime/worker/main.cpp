// SPDX-License-Identifier: Apache-2.0
// karapace-worker: tree work as the root of a user namespace. Reads one request (JSON) from stdin, writes
// progress lines to stderr and one answer (JSON) to stdout. Started by runtime::TreeWorker only; see
// worker_client.cpp for the other side.
#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include <chrono>
#include <clocale>
#include <exception>
#include <string>

#include "karapace/base/cancel.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/json.hpp"
#include "karapace/base/progress.hpp"
#include "karapace/base/subprocess.hpp"
#include "worker/verbs.hpp"

namespace karapace::worker {
namespace {

constexpr std::size_t kMaxRequest = 64 * 1024 * 1024;

/// One line per call: "@step name<TAB>detail", "@at done total unit", "@note text".
class LineProgress : public ProgressSink {
 public:
  void step(std::string_view name, std::string_view detail) override {
    line(fmt::format("@step {}\t{}\n", name, detail));
  }
  void advance(std::uint64_t done, std::uint64_t total, std::string_view unit) override {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < std::chrono::milliseconds(50)) return;
    last_ = now;
    line(fmt::format("@at {} {} {}\n", done, total, unit));
  }
  void note(std::string_view text) override { line(fmt::format("@note {}\n", text)); }

 private:
  // Progress that nobody reads any more is no reason to fail.
  static void line(std::string_view text) noexcept {
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
  }
  std::chrono::steady_clock::time_point last_{};
};

Json describe(const Error& error) {
  Json json = {{"code", to_string(error.code())}, {"message", error.message()}, {"fix", error.fix()}};
  if (const auto* system = dynamic_cast<const SystemError*>(&error)) json["errno"] = system->error_number();
  return json;
}

int run() {
  LineProgress progress;
  Json answer;
  int status = 0;
  try {
    const Json request = parse_json(read_all(FdRef::from_raw(STDIN_FILENO), kMaxRequest), "request",
                                    {.max_bytes = kMaxRequest});
    answer = {{"result", carry_out(request, progress, CancelToken::process())}};
  } catch (const Error& error) {
    answer = {{"error", describe(error)}};
    status = 1;
  } catch (const nlohmann::json::exception& error) {
    answer = {{"error", {{"code", "internal"}, {"message", error.what()}, {"fix", ""}}}};
    status = 1;
  }
  // Names in messages are bytes; what is not UTF-8 must not keep the message from arriving.
  const std::string text = answer.dump(-1, ' ', true, Json::error_handler_t::replace);
  write_all(FdRef::from_raw(STDOUT_FILENO), text);
  return status;
}

}  // namespace
}  // namespace karapace::worker

int main() {
  // As in karapace: heaps of threads that have ended keep what was freed in them.
  ::mallopt(M_ARENA_MAX, 1);
  // libarchive converts names of pax headers from the locale's character set. Those that it reads:
  // BytesLocale.
  std::setlocale(LC_CTYPE, "C.UTF-8");
  try {
    karapace::ignore_file_size_signal();
    return karapace::worker::run();
  } catch (const std::exception& error) {
    fmt::print(stderr, "karapace-worker: {}\n", error.what());
    return 2;
  }
}
