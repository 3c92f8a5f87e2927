// SPDX-License-Identifier: Apache-2.0
#include "karapace/remote/fetch.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <span>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "fetch_checks.hpp"
#include "fetch_process.hpp"
#include "fetch_protocol.hpp"
#include "karapace/base/digest.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/file_lock.hpp"
#include "karapace/base/text.hpp"
#include "karapace/store/object_store.hpp"

namespace karapace::remote {

namespace {

// The store keeps each file of a batch open, and an ordinary process may have 1024.
constexpr std::size_t kAdoptBatch = 256;
/// Held while complete files move into the store, so that two processes which both found the same one
/// complete do not both move it.
constexpr const char* kAdoptLock = ".adopt.lock";

void check_download(const Download& file) {
  const auto refuse = [&](std::string_view what) {
    throw Error(ErrorCode::InvalidInput, fmt::format("cannot download {}: {}", printable(file.label), what));
  };
  if (file.label.empty() || file.label.size() > kMaxLabelBytes) refuse("its label is empty or too long");
  // A sha256 has the form of any digest of 32 bytes.
  if (!Digest::is_valid(file.sha256))
    refuse(fmt::format("\"{}\" is not a sha256 (64 lower-case hex digits)", printable(file.sha256, 80)));
  if (!is_header_value(file.accept) || !is_header_value(file.authorization))
    refuse("a header that no server would understand");
  if (file.url.size() > kMaxUrlBytes)
    refuse(fmt::format("its address has {} bytes, more than {}", file.url.size(), kMaxUrlBytes));
  if (!is_web_address(file.url))
    refuse(fmt::format("\"{}\" is not an address that begins with http:// or https://", printable(file.url)));
  if (file.size > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) / kMaxDownloads)
    refuse(fmt::format("{} bytes are too many", file.size));
}

/// What the store lacks, each content once.
std::vector<Download> missing(const store::PackageStore& packages, const std::vector<Download>& downloads) {
  std::unordered_set<std::string_view> seen;
  std::vector<Download> files;
  for (const Download& file : downloads) {
    check_download(file);
    if (!seen.insert(file.sha256).second || packages.contains(file.sha256)) continue;
    files.push_back(file);
    files.back().label = printable(file.label, kMaxLabelBytes);
  }
  return files;
}

void adopt(store::PackageStore& packages, FdRef downloads, std::vector<std::string> sha256s) {
  if (sha256s.empty()) return;
  const auto lock = FileLock::acquire(open_beneath(downloads, kAdoptLock, O_RDWR | O_CREAT | O_NOFOLLOW),
                                      LockMode::Exclusive);
  std::erase_if(sha256s, [&](const std::string& sha256) { return packages.contains(sha256); });
  for (std::span<const std::string> rest(sha256s); !rest.empty();) {
    const auto batch = rest.first(std::min(rest.size(), kAdoptBatch));
    packages.adopt_downloads({batch.begin(), batch.end()});
    rest = rest.subspan(batch.size());
  }
}

[[noreturn]] void throw_failure(protocol::Failure failure, const store::StoreLayout& layout) {
  if (failure.code == ErrorCode::NoSpace)
    failure.fix = fmt::format(
        "Free space on the file system of {} and run the command again: it continues where it "
        "stopped.",
        layout.root_path());
  if (failure.status == 401)
    throw Unauthorized(failure.code, std::move(failure.message), std::move(failure.fix));
  throw Error(failure.code, std::move(failure.message), std::move(failure.fix));
}

}  // namespace

FetchReport fetch_all(const store::StoreLayout& layout, const std::vector<Download>& downloads,
                      const FetchOptions& options, ProgressSink& progress, CancelToken& cancel,
                      const std::string& fetch_program) {
  cancel.check();
  if (downloads.size() > kMaxDownloads)
    throw Error(ErrorCode::InvalidInput,
                fmt::format("{} downloads at once are more than {}", downloads.size(), kMaxDownloads));
  store::PackageStore packages(layout);
  const protocol::Request request{.options = bounded(options), .files = missing(packages, downloads)};
  FetchReport report{.bytes = 0, .fetched = 0, .skipped = downloads.size()};
  if (request.files.empty()) return report;

  ensure_directory_at(layout.store(), "downloads");
  ensure_directory_at(layout.store(), "packages");
  const UniqueFd parts = open_directory(layout.store(), "downloads");
  const UniqueFd present = open_directory(layout.store(), "packages");
  progress.step("download", counted(request.files.size(), "file"));
  FetchOutcome outcome = run_fetch_program(fetch_program, request, parts, present, progress, cancel);
  report.bytes = outcome.result.received;
  report.fetched = outcome.verified.size();
  report.skipped -= report.fetched;
  // Also after a failure: what is complete need not be hashed again next time.
  adopt(packages, parts, std::move(outcome.verified));
  if (outcome.result.failure) throw_failure(std::move(*outcome.result.failure), layout);
  return report;
}

void adopt_file(const store::StoreLayout& layout, FdRef directory, const std::string& name,
                const std::string& sha256) {
  ensure_directory_at(layout.store(), "downloads");
  ensure_directory_at(layout.store(), "packages");
  store::PackageStore packages(layout);
  const UniqueFd parts = open_directory(layout.store(), "downloads");
  if (packages.contains(sha256)) {
    unlink_at(directory, name);
    return;
  }
  // Whoever is just downloading the same file loses the name of his, and finds ours when he is done.
  rename_at(directory, name, parts, sha256 + ".part", Replace::Yes);
  adopt(packages, parts, {sha256});
}

void adopt_files(const store::StoreLayout& layout, FdRef directory, const std::vector<std::string>& sha256s) {
  ensure_directory_at(layout.store(), "downloads");
  ensure_directory_at(layout.store(), "packages");
  store::PackageStore packages(layout);
  const UniqueFd parts = open_directory(layout.store(), "downloads");
  for (const std::string& sha256 : sha256s) {
    if (packages.contains(sha256)) {
      unlink_at(directory, sha256);
    } else {
      rename_at(directory, sha256, parts, sha256 + ".part", Replace::Yes);
    }
  }
  adopt(packages, parts, sha256s);
}

}  // namespace karapace::remote
