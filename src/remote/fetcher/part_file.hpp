// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "fetcher/sha256.hpp"
#include "karapace/base/file_lock.hpp"
#include "karapace/base/unique_fd.hpp"

namespace karapace::fetcher {

/// store/downloads/<sha256>.part while we hold its lock: nobody else writes it. It grows at its end only, and
/// the digest of everything in it is always known (after the first bytes, which somebody else left, were
/// hashed).
///
/// Its bytes become an object of the store once they are complete, under the same inode. So what is complete
/// is never written again: it is unlinked, and the next attempt has a new inode.
class PartFile {
 public:
  /// Opens or creates it below `downloads`, never through a symlink. Nothing if another process holds its
  /// lock.
  [[nodiscard]] static std::optional<PartFile> try_open(FdRef downloads, const std::string& sha256);

  /// Hashes some more of what was there when it was opened. False when there is nothing left to hash.
  [[nodiscard]] bool hash_more();
  /// Bytes that are in it and in its digest.
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  [[nodiscard]] std::string digest() const { return hash_.hex(); }
  /// False if its inode may be shared with the store already: then it is either complete or to be unlinked.
  [[nodiscard]] bool is_ours_alone() const noexcept { return ours_alone_; }

  /// Throws SystemError, with code NoSpace when the disk is full.
  void append(std::string_view bytes);
  /// Back to no bytes, on the same inode. Only for what is incomplete.
  void restart();
  /// Removes its name. The lock lasts as long as this object.
  void unlink(FdRef downloads);

 private:
  PartFile(FileLock lock, std::string name, bool ours_alone)
      : lock_(std::move(lock)), name_(std::move(name)), ours_alone_(ours_alone) {}

  FileLock lock_;
  std::string name_;
  Sha256 hash_;
  std::uint64_t size_ = 0;
  bool ours_alone_;
};

}  // namespace karapace::fetcher
