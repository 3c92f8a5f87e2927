// SPDX-License-Identifier: Apache-2.0
#include "worker/bundle_files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <span>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "worker/checksum.hpp"

namespace karapace::worker {
namespace {

constexpr std::size_t kBufferBytes = 1024UL * 1024;

/// Copies and hashes; counts what has gone for the progress of all files together.
class Copier {
 public:
  Copier(const std::vector<BundleFile>& files, ProgressSink& progress, const CancelToken& cancel)
      : progress_(progress), cancel_(cancel), buffer_(kBufferBytes) {
    for (const BundleFile& file : files) total_ += file.size;
  }

  /// `size` bytes from `offset` of `from`; returns their sha256. Nothing if the file ends before.
  std::optional<std::string> copy(FdRef from, std::uint64_t offset, std::uint64_t size, FdRef to) {
    Sha256 sum;
    for (std::uint64_t left = size; left > 0;) {
      cancel_.check();
      const std::size_t wanted = static_cast<std::size_t>(std::min<std::uint64_t>(left, buffer_.size()));
      const ssize_t count = ::pread(from.get(), buffer_.data(), wanted, static_cast<off_t>(offset));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) throw_errno("read a file of the bundle");
      if (count == 0) return std::nullopt;
      const auto got = static_cast<std::size_t>(count);
      sum.update(std::span(buffer_).first(got));
      write_all(to, std::string_view(buffer_.data(), got));
      offset += got;
      left -= got;
      done_ += got;
      progress_.advance(done_, total_, "bytes");
    }
    return sum.finish();
  }

 private:
  ProgressSink& progress_;
  const CancelToken& cancel_;
  std::vector<char> buffer_;
  std::uint64_t done_ = 0;
  std::uint64_t total_ = 0;
};

}  // namespace

void write_bundle_files(FdRef packages, const std::vector<BundleFile>& files, FdRef output,
                        ProgressSink& progress, const CancelToken& cancel) {
  Copier copier(files, progress, cancel);
  for (const BundleFile& file : files) {
    const UniqueFd source = open_beneath(packages, file.sha256, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    const auto found = copier.copy(source, 0, file.size, output);
    if (found == file.sha256) continue;
    throw Error(ErrorCode::Corrupt,
                fmt::format("{} in the store is damaged: sha256 {} expected, {} found", printable(file.label),
                            file.sha256, found.value_or("a shorter file")),
                "karapace verify-store --repair");
  }
}

void read_bundle_files(FdRef bundle, std::uint64_t offset, const std::vector<BundleFile>& files, FdRef target,
                       ProgressSink& progress, const CancelToken& cancel) {
  Copier copier(files, progress, cancel);
  for (const BundleFile& file : files) {
    UniqueFd to = open_beneath(target, file.sha256, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    const auto found = copier.copy(bundle, offset, file.size, to);
    if (!found)
      throw Error(ErrorCode::InvalidInput, fmt::format("the bundle ends within {}", printable(file.label)),
                  "Copy the bundle again: it is not whole.");
    if (*found != file.sha256) {
      throw Error(ErrorCode::InvalidInput,
                  fmt::format("{} in the bundle is not what the lock names: sha256 {} expected, {} found",
                              printable(file.label), file.sha256, *found),
                  "Copy the bundle again, or export it again where it came from.");
    }
    to.close();
    offset += file.size;
  }
}

}  // namespace karapace::worker
