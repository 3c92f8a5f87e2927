// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "http_test_server.hpp"
#include "karapace/base/cancel.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/progress.hpp"
#include "karapace/remote/fetch.hpp"
#include "karapace/store/layout.hpp"

namespace karapace::remote {

/// A directory for one test, removed with everything in it.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

/// Remembers what it was told, and lets another thread wait for it.
class RecordingProgress final : public ProgressSink {
 public:
  void step(std::string_view name, std::string_view detail) override;
  void advance(std::uint64_t done, std::uint64_t total, std::string_view unit) override;
  void note(std::string_view text) override;

  [[nodiscard]] bool wait_for_bytes(std::uint64_t bytes);
  [[nodiscard]] bool wait_for_note();
  [[nodiscard]] std::uint64_t last_bytes();
  [[nodiscard]] std::uint64_t last_total();
  [[nodiscard]] std::string last_step();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t bytes_ = 0;
  std::uint64_t total_ = 0;
  std::string step_;
  std::vector<std::string> notes_;
};

[[nodiscard]] std::string sha256_of(std::string_view content);
/// Reproducible bytes that do not repeat.
[[nodiscard]] std::string some_bytes(std::size_t length, std::uint64_t seed = 1);
[[nodiscard]] std::string fetch_program();

class FetchTest : public testing::Test {
 public:
  FetchTest(const FetchTest&) = delete;
  FetchTest& operator=(const FetchTest&) = delete;
  FetchTest(FetchTest&&) = delete;
  FetchTest& operator=(FetchTest&&) = delete;
  ~FetchTest() override;

 protected:
  FetchTest();

  /// Serves `content` at `path` and declares it.
  Download serve(const std::string& path, const std::string& content);
  FetchReport fetch(const std::vector<Download>& downloads) { return fetch(downloads, progress_); }
  FetchReport fetch(const std::vector<Download>& downloads, ProgressSink& progress);
  /// The error of a fetch that must fail with `code`.
  Error fetch_error(const std::vector<Download>& downloads, ErrorCode code = ErrorCode::InvalidInput);

  /// What an interrupted call left.
  void leave_part(const Download& file, std::string_view content);
  [[nodiscard]] bool has_part(const Download& file) const;
  [[nodiscard]] std::uint64_t part_size(const Download& file) const;
  /// Content of store/packages/<sha256>; "(missing)" if it is not there.
  [[nodiscard]] std::string stored(const Download& file) const;
  /// The Range headers of all requests in order; "" for a request without.
  [[nodiscard]] std::vector<std::string> ranges() const;

  test::HttpTestServer server_;
  TempDir root_;
  store::StoreLayout layout_;
  RecordingProgress progress_;
  FetchOptions options_;
};

}  // namespace karapace::remote
