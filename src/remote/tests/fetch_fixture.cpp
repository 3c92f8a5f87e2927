// SPDX-License-Identifier: Apache-2.0
#include "fetch_fixture.hpp"

#include <fcntl.h>
#include <stdlib.h>

#include <array>
#include <chrono>
#include <filesystem>

#include "fetcher/sha256.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/store/object_store.hpp"

namespace karapace::remote {

namespace {

constexpr std::chrono::seconds kPatience(30);

}  // namespace

TempDir::TempDir() {
  path_ = (std::filesystem::temp_directory_path() / "karapace-fetch-test-XXXXXX").string();
  if (::mkdtemp(path_.data()) == nullptr) throw_errno("mkdtemp");
}

TempDir::~TempDir() {
  const std::filesystem::path path(path_);
  const UniqueFd parent = open_path(path.parent_path().string(), O_RDONLY | O_DIRECTORY);
  remove_tree_at(parent, path.filename().string());
}

void RecordingProgress::step(std::string_view name, std::string_view /*detail*/) {
  const std::lock_guard lock(mutex_);
  step_ = name;
}

void RecordingProgress::advance(std::uint64_t done, std::uint64_t total, std::string_view unit) {
  const std::lock_guard lock(mutex_);
  EXPECT_EQ(unit, "bytes");
  bytes_ = done;
  total_ = total;
  changed_.notify_all();
}

void RecordingProgress::note(std::string_view text) {
  const std::lock_guard lock(mutex_);
  notes_.emplace_back(text);
  changed_.notify_all();
}

bool RecordingProgress::wait_for_bytes(std::uint64_t bytes) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, [&] { return bytes_ >= bytes; });
}

bool RecordingProgress::wait_for_note() {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, [&] { return !notes_.empty(); });
}

std::uint64_t RecordingProgress::last_bytes() {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

std::uint64_t RecordingProgress::last_total() {
  const std::lock_guard lock(mutex_);
  return total_;
}

std::string RecordingProgress::last_step() {
  const std::lock_guard lock(mutex_);
  return step_;
}

std::string sha256_of(std::string_view content) {
  fetcher::Sha256 hash;
  hash.update(content);
  return hash.hex();
}

std::string some_bytes(std::size_t length, std::uint64_t seed) {
  std::string bytes(length, '\0');
  std::uint64_t state = seed * 0x9e3779b97f4a7c15ULL + 1;
  for (char& byte : bytes) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    byte = static_cast<char>(state & 0xff);
  }
  return bytes;
}

std::string fetch_program() { return KARAPACE_BIN_DIR "/karapace-fetch"; }

FetchTest::FetchTest() : layout_(store::StoreLayout::open_or_create(root_.path())) {
  // A proxy of whoever runs the tests would be asked for 127.0.0.1, too.
  for (const char* name : {"http_proxy", "all_proxy", "ALL_PROXY"}) ::unsetenv(name);
  options_.retry_delay = std::chrono::milliseconds(5);
  options_.max_retry_delay = std::chrono::milliseconds(50);
}

FetchTest::~FetchTest() { CancelToken::process().reset(); }

Download FetchTest::serve(const std::string& path, const std::string& content) {
  server_.add(path, content);
  return {.label = "package " + path.substr(1),
          .url = server_.url(path),
          .sha256 = sha256_of(content),
          .size = content.size()};
}

FetchReport FetchTest::fetch(const std::vector<Download>& downloads, ProgressSink& progress) {
  return fetch_all(layout_, downloads, options_, progress, CancelToken::process(), fetch_program());
}

Error FetchTest::fetch_error(const std::vector<Download>& downloads, ErrorCode code) {
  try {
    fetch(downloads);
  } catch (const Error& error) {
    EXPECT_EQ(to_string(error.code()), to_string(code)) << error.what();
    return error;
  }
  ADD_FAILURE() << "the download did not fail";
  return Error(ErrorCode::Internal, "no error");
}

void FetchTest::leave_part(const Download& file, std::string_view content) {
  ensure_directory_at(layout_.store(), "downloads");
  const UniqueFd part =
      open_beneath(layout_.store(), "downloads/" + file.sha256 + ".part", O_WRONLY | O_CREAT | O_TRUNC);
  write_all(part, content);
}

bool FetchTest::has_part(const Download& file) const {
  return exists_at(layout_.store(), "downloads/" + file.sha256 + ".part");
}

std::uint64_t FetchTest::part_size(const Download& file) const {
  const auto info = stat_at(layout_.store(), "downloads/" + file.sha256 + ".part");
  return info ? static_cast<std::uint64_t>(info->st_size) : 0;
}

std::string FetchTest::stored(const Download& file) const {
  const store::PackageStore packages(layout_);
  const auto fd = packages.open(file.sha256);
  return fd ? read_all(*fd, std::size_t{256} * 1024 * 1024) : "(missing)";
}

std::vector<std::string> FetchTest::ranges() const {
  std::vector<std::string> result;
  for (const test::HttpRequest& request : server_.requests()) {
    const auto range = request.headers.find("range");
    result.push_back(range == request.headers.end() ? "" : range->second);
  }
  return result;
}

}  // namespace karapace::remote
