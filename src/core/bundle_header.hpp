// SPDX-License-Identifier: Apache-2.0
// What a bundle begins with.
//
//   karapace bundle 1\n
//   <length of the header in bytes, decimal> <blake3 of the header, 64 hex digits>\n
//   <header: canonical JSON {files: [{sha256, size}], lock, manifest, name}>
//   <the files, one after the other>
//
// The header is small and comes first, so that everything about a bundle is known and checked before a byte
// of the files is written anywhere: which files there must be follows from the lock, where each begins from
// the sizes, and how long the bundle is from both.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "karapace/base/unique_fd.hpp"
#include "karapace/schema/lock_file.hpp"
#include "karapace/schema/manifest.hpp"

namespace karapace::core {

struct NamedFile {
  std::string sha256;
  std::uint64_t size = 0;  // 0: the lock does not know
  std::string label;
};

struct BundleHeader {
  std::string name;      // of the manifest's file: "karapace.toml"
  std::string manifest;  // text
  std::string lock;      // text
  std::vector<NamedFile> files;
};

/// What a lock's build needs, sorted by sha256, each once. Throws Unsupported if its base is no file.
[[nodiscard]] std::vector<NamedFile> files_of_lock(const LockFile& lock);

[[nodiscard]] std::string encode_bundle_header(const BundleHeader& header);

/// A header that was read and checked: its lock is sealed and fits its manifest, its files are exactly those
/// of the lock, and the bundle has the length that follows.
struct OpenedBundle {
  BundleHeader header;
  Manifest manifest;
  LockFile lock;
  std::uint64_t files_begin = 0;
};
/// Throws InvalidInput, ManifestError. `name` is for messages.
[[nodiscard]] OpenedBundle read_bundle_header(FdRef bundle, const std::string& name);

}  // namespace karapace::core
