// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "karapace/base/digest.hpp"
#include "karapace/store/layout.hpp"

namespace karapace::store {

/// Immutable bytes under their blake3 digest. Safe from several threads and processes at once.
class ObjectStore {
 public:
  explicit ObjectStore(const StoreLayout& layout);

  /// Stores `content`; on return it survives a power cut. An existing object is kept if its bytes are right
  /// and replaced if they are not (a rebuild heals). Throws NoSpace when the disk is full.
  Digest put(std::string_view content);
  /// Reads a whole object, checked. Nothing if it is not there; CorruptError if the bytes do not match;
  /// InvalidInput above `limit`.
  [[nodiscard]] std::optional<std::string> find(const Digest& digest,
                                                std::size_t limit = 256 * 1024 * 1024) const;
  /// Like find; NotFound if missing.
  [[nodiscard]] std::string load(const Digest& digest, std::size_t limit = 256 * 1024 * 1024) const;
  [[nodiscard]] bool contains(const Digest& digest) const;
  [[nodiscard]] UniqueFd open(const Digest& digest) const;
  /// The same, after its bytes were compared with the digest: CorruptError. So is one of more than `limit`
  /// bytes, without reading it.
  [[nodiscard]] UniqueFd open_verified(const Digest& digest, std::uint64_t limit) const;
  [[nodiscard]] std::vector<Digest> list() const;

 private:
  UniqueFd dir_;
};

/// Downloaded artefacts by sha256: store/packages/<sha256> is another name of the object that holds the
/// bytes.
class PackageStore {
 public:
  explicit PackageStore(const StoreLayout& layout);
  [[nodiscard]] bool contains(const std::string& sha256) const;
  [[nodiscard]] std::optional<UniqueFd> open(const std::string& sha256) const;
  /// Moves complete, already verified files (sha256 computed by the downloader) from
  /// store/downloads/<sha256>.part into objects/ and packages/. Hashes them (blake3), one syncfs for all,
  /// then renames and links.
  void adopt_downloads(const std::vector<std::string>& sha256s);
  /// Hard-links (or copies) the artefact to `name` in `dir`.
  void link_into(const std::string& sha256, FdRef dir, const std::string& name) const;

 private:
  const StoreLayout& layout_;
  UniqueFd dir_;
};

/// What went in -> which layer came out. store/builds/<key>.
class BuildCache {
 public:
  explicit BuildCache(const StoreLayout& layout);
  [[nodiscard]] std::optional<Digest> find(const Digest& key) const;  // a damaged record counts as absent
  void put(const Digest& key, const Digest& layer);

 private:
  UniqueFd dir_;
};

}  // namespace karapace::store
