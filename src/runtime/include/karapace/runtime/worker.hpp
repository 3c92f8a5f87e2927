// SPDX-License-Identifier: Apache-2.0
// Tree work inside the user namespace that owns the files: a client for karapace-worker.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "karapace/base/cancel.hpp"
#include "karapace/base/digest.hpp"
#include "karapace/base/progress.hpp"
#include "karapace/schema/manifest.hpp"
#include "karapace/store/layer.hpp"
#include "karapace/store/layout.hpp"

namespace karapace::runtime {

enum class Normalise : std::uint8_t {
  None,       // a user's own tarball or directory: only what cannot be kept (devices in /dev) is left out
  AptBase,    // a bootstrapped base
  AptLayer,   // the upper directory after an offline install
};

struct SealRequest {
  std::string staging_path;          // "store/staging/<op_id>"
  std::string name;                  // directory in it
  std::vector<std::string> lowers;   // trees below it, top first, relative to the store root ("trees/<digest>")
  Normalise normalise = Normalise::None;
  store::LayerKind kind = store::LayerKind::Base;
  std::vector<std::pair<std::string, std::string>> files;  // written after normalising: path -> content, mode 0644
};

class TreeWorker {
 public:
  TreeWorker(const store::StoreLayout& store, Ownership ownership);
  /// Normalises, seals, lays out as trees/<digest> and publishes the layer. Returns its digest.
  Digest seal(const SealRequest& request, ProgressSink& progress, CancelToken& cancel);
  /// Unpacks a tar archive (gz, xz, zstd, bzip2 by libarchive), hostile, into staging/<name>. `archive` is an open file.
  void unpack(FdRef archive, const std::string& staging_path, const std::string& name, ProgressSink& progress,
              CancelToken& cancel);
  /// Copies a directory tree of the host (read by the caller's rights) into staging/<name>.
  void copy_tree(const std::string& host_directory, const std::string& staging_path, const std::string& name,
                 ProgressSink& progress, CancelToken& cancel);
  /// Lays out trees/<digest> from index and objects if it is missing.
  void ensure_tree(const Digest& layer, ProgressSink& progress, CancelToken& cancel);
  /// Removes `relative` (below the store root) with everything in it.
  void remove(const std::string& relative);

 private:
  const store::StoreLayout& store_;
  Ownership ownership_;
};

/// For store::recover: removes directly, and through the worker where that is refused.
void remove_tree_any_owner(const store::StoreLayout& store, const std::string& relative);

}  // namespace karapace::runtime
