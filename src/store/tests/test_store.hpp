// SPDX-License-Identifier: Apache-2.0
// A directory and a store of its own for each test, and what tests say about trees.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "karapace/base/cancel.hpp"
#include "karapace/base/clock.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/progress.hpp"
#include "karapace/store/integrity.hpp"
#include "karapace/store/layer.hpp"
#include "karapace/store/layout.hpp"
#include "karapace/store/metadata.hpp"

namespace karapace::store::testing {

class TempDir {
 public:
  TempDir() {
    path_ = (std::filesystem::temp_directory_path() / ("karapace-test-" + random_hex(8))).string();
    make_directory_at(parent(), name(), 0700);
    fd_ = open_path(path_, O_RDONLY | O_DIRECTORY);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() { remove_tree_at(parent(), name()); }

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] FdRef fd() const { return fd_; }
  UniqueFd make_dir(const std::string& relative) const {
    ensure_directory_at(fd_, relative, 0755);
    return open_directory(fd_, relative);
  }
  void write(const std::string& relative, std::string_view content, mode_t mode = 0644) const {
    const UniqueFd file = open_beneath(fd_, relative, O_WRONLY | O_CREAT | O_TRUNC, mode);
    write_all(file, content);
  }
  [[nodiscard]] std::string read(const std::string& relative) const {
    return read_file_at(fd_, relative, 1U << 30);
  }

 private:
  [[nodiscard]] static UniqueFd parent() {
    return open_path(std::filesystem::temp_directory_path().string(), O_RDONLY | O_DIRECTORY);
  }
  [[nodiscard]] std::string name() const { return path_.substr(path_.rfind('/') + 1); }
  std::string path_;
  UniqueFd fd_;
};

/// Seals `staging`/tree, lays it out and publishes its record.
inline std::vector<std::string> faults_of(FdRef tree, FdRef objects, const std::vector<IndexEntry>& entries,
                                          bool flat, const ObjectTable* seen = nullptr,
                                          std::size_t limit = 10) {
  const std::string index = encode_index(entries);
  return find_tree_faults(tree, objects, IndexReader(index), flat, CancelToken::process(), seen, limit);
}

/// What seal_tree returns, encoded.
struct Sealed {
  Digest hash;
  std::string index;
  std::string mtimes;
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
  std::uint64_t objects_new = 0;
  std::uint64_t objects_shared = 0;
};
inline Sealed seal_encoded(FdRef tree, FdRef objects, const SealOptions& options) {
  const SealedTree tree_sealed = seal_tree(tree, objects, options, no_progress(), CancelToken::process());
  Sealed sealed;
  sealed.index = encode_index(tree_sealed.entries);
  sealed.mtimes = encode_mtimes(tree_sealed.entries);
  sealed.hash = hash_bytes(sealed.index);
  sealed.entries = tree_sealed.entries.size();
  for (const IndexEntry& entry : tree_sealed.entries) sealed.bytes += entry.size;
  sealed.objects_new = tree_sealed.objects_new;
  sealed.objects_shared = tree_sealed.objects_shared;
  return sealed;
}

inline Sealed publish_layer(const StoreLayout& layout, FdRef staging,
                            SealOptions options = {.set_mtime = kSourceDateEpoch},
                            LayerKind kind = LayerKind::Base) {
  Sealed sealed = seal_encoded(open_directory(staging, "tree"), layout.objects(), options);
  publish_tree(staging, "tree", layout.trees(), sealed.hash);
  LayerRecord record;
  record.hash = sealed.hash;
  record.kind = kind;
  record.ownership = options.flat ? "flat" : "mapped";
  record.entries = sealed.entries;
  record.bytes = sealed.bytes;
  LayerStore(layout).put(record, sealed.index, sealed.mtimes);
  return sealed;
}

class StoreTest : public ::testing::Test {
 protected:
  TempDir dir;
  StoreLayout layout = StoreLayout::open_or_create(dir.path() + "/store-root");

  [[nodiscard]] std::string store_path(const std::string& below) const { return "store-root/" + below; }
  Sealed seal(FdRef tree, SealOptions options = {}) const {
    return seal_encoded(tree, layout.objects(), options);
  }
  static std::vector<IndexEntry> scan(FdRef tree, bool flat = true) {
    return scan_tree(tree, flat, true, 2, CancelToken::process());
  }
};

inline EnvRecord make_record(char digit, std::optional<std::string> name = std::nullopt) {
  EnvRecord record;
  record.env_id = std::string(64, digit);
  record.short_id = record.env_id.substr(0, 12);
  record.name = std::move(name);
  record.state = EnvState::Built;
  record.manifest_hash = std::string(64, '1');
  record.base_layer = std::string(64, '2');
  record.dependency_layers = {std::string(64, '3')};
  record.created_at = "2025-01-01T00:00:00+00:00";
  record.updated_at = "2025-01-01T00:00:00+00:00";
  return record;
}

template <typename Function>
ErrorCode code_of(Function&& function) {
  try {
    function();
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "nothing was thrown";
  return ErrorCode::Internal;
}

}  // namespace karapace::store::testing
