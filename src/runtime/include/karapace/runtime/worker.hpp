// SPDX-License-Identifier: Apache-2.0
// Tree work inside the user namespace that owns the files: a client for karapace-worker.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "karapace/base/cancel.hpp"
#include "karapace/base/digest.hpp"
#include "karapace/base/progress.hpp"
#include "karapace/schema/manifest.hpp"
#include "karapace/store/commit.hpp"
#include "karapace/store/layer.hpp"
#include "karapace/store/layout.hpp"
#include "karapace/store/repair.hpp"
#include "karapace/store/tree_diff.hpp"
#include "karapace/store/tree_sizes.hpp"

namespace karapace::runtime {

enum class Normalise : std::uint8_t {
  None,   // a user's own tarball or directory: only what cannot be kept (devices in /dev) is left out
  Base,   // a bootstrapped base
  Layer,  // the upper directory after an offline install
};

struct SealRequest {
  std::string staging_path;  // "store/staging/<op_id>"
  std::string name;          // directory in it
  std::vector<std::string>
      lowers;  // trees below it, top first, relative to the store root ("trees/<digest>")
  Normalise normalise = Normalise::None;
  store::LayerKind kind = store::LayerKind::Base;
  std::vector<std::pair<std::string, std::string>>
      files;  // written after normalising: path -> content, mode 0644
};
/// A layer that was described and not published.
struct DescribedLayer {
  Digest hash;
  std::string index_path;  // relative to the store root, in the staging directory
};

struct ExportRequest {
  std::vector<std::pair<Digest, Digest>> layers;  // index and times objects, bottom first
  std::string upper_of;                           // environment whose upper directory lies on them, or empty
  bool delta = false;                             // keep whiteouts and opaque marks
  bool archive = false;                           // the output is a file for a tar archive, not a directory
};

class TreeWorker {
 public:
  TreeWorker(const store::StoreLayout& store, Ownership ownership);
  /// Normalises, seals, lays out as trees/<digest> and publishes the layer. Returns its digest.
  Digest seal(const SealRequest& request, ProgressSink& progress, CancelToken& cancel);
  /// What seal would make, without objects, tree and record: only normalises and writes the index.
  [[nodiscard]] DescribedLayer describe(const SealRequest& request, ProgressSink& progress,
                                        CancelToken& cancel);
  /// Unpacks a tar archive (gz, xz, zstd, bzip2 by libarchive), hostile, into staging/<name>. `archive` is an
  /// open file. With `expected_sha256`, an archive that is another one is InvalidInput.
  void unpack(FdRef archive, const std::string& staging_path, const std::string& name, ProgressSink& progress,
              CancelToken& cancel, const std::string& expected_sha256 = {});
  /// The same for the next layer of an image: staging/<name> has those below it, or is not there yet.
  /// Whiteouts are applied.
  void unpack_layer(FdRef archive, const std::string& staging_path, const std::string& name,
                    ProgressSink& progress, CancelToken& cancel, const std::string& expected_sha256);
  /// Copies a directory tree of the host (read by the caller's rights) into staging/<name>.
  void copy_tree(const std::string& host_directory, const std::string& staging_path, const std::string& name,
                 ProgressSink& progress, CancelToken& cancel);
  /// The layer digest that staging/<name> would get with Normalise::None. Changes nothing but /dev, which is
  /// emptied.
  [[nodiscard]] Digest tree_digest(const std::string& staging_path, const std::string& name,
                                   CancelToken& cancel);
  /// SHA-256 of an open file, 64 hex digits. The file offset does not move.
  [[nodiscard]] std::string sha256(FdRef file, CancelToken& cancel);
  struct BundleFile {
    std::string sha256;
    std::uint64_t size = 0;
    std::string label;  // what errors call it
  };
  /// Appends files of store/packages to `output`, checking each.
  void write_bundle(const std::vector<BundleFile>& files, FdRef output, ProgressSink& progress,
                    CancelToken& cancel);
  /// Writes the files that begin at `offset` of `bundle` to the staging directory, each under its sha256.
  /// Throws InvalidInput if one is another one.
  void read_bundle(FdRef bundle, std::uint64_t offset, const std::vector<BundleFile>& files,
                   const std::string& staging_path, ProgressSink& progress, CancelToken& cancel);
  /// What tar archives have of the files `wanted`, by name: one answer for each of `files` in `directory`,
  /// which is relative to the store root.
  [[nodiscard]] std::vector<std::map<std::string, std::string>> archive_texts(
      const std::string& directory, const std::vector<std::string>& files,
      const std::vector<std::string>& wanted, CancelToken& cancel);
  /// The "<package>" elements of packages called `names` out of the primary.xml in `directory`, which is
  /// relative to the store root. Nothing if there is no such file.
  [[nodiscard]] std::optional<std::string> rpm_descriptions(const std::string& directory,
                                                            const std::vector<std::string>& names,
                                                            CancelToken& cancel);
  /// The control files of Debian packages: `files` in `directory`, which is relative to the store root.
  [[nodiscard]] std::vector<std::string> deb_controls(const std::string& directory,
                                                      const std::vector<std::string>& files,
                                                      CancelToken& cancel);
  /// Empty directories of root's, mode 0755, in the staging directory.
  void make_directories(const std::string& staging_path, const std::vector<std::string>& names,
                        CancelToken& cancel);
  /// An upper directory staging/<name> and its work directory staging/<name>.work. Each of `files` is put
  /// into the upper.
  struct PlacedFile {
    std::string path;
    std::string content;
    std::uint32_t mode = 0644;
  };
  void prepare_overlay(const std::string& staging_path, const std::string& name,
                       const std::vector<std::string>& lowers, const std::vector<PlacedFile>& files,
                       CancelToken& cancel);
  /// Lays out trees/<digest> from index and objects if it is missing.
  void ensure_tree(const Digest& layer, ProgressSink& progress, CancelToken& cancel);
  /// See store/commit.hpp: step 1 of a commit of env/<env_id>/upper, which lies on trees/<below>.
  [[nodiscard]] store::CommitPreparation prepare_commit(const std::string& env_id, const std::string& below,
                                                        const std::string& staging_path,
                                                        ProgressSink& progress, CancelToken& cancel);
  /// Stages an empty upper directory for one that will lie on trees/<below>.
  void stage_fresh_upper(const std::string& below, const std::string& staging_path, CancelToken& cancel);
  /// Step 4. Cannot be cancelled.
  void finish_switch(const std::string& op_id);
  /// What env/<env_id>/upper changes in the trees below it, top first (digests of layers).
  [[nodiscard]] std::vector<store::TreeChange> diff(const std::string& env_id,
                                                    const std::vector<std::string>& below,
                                                    CancelToken& cancel);
  /// As store::find_tree_faults for the layer's tree.
  [[nodiscard]] std::vector<std::string> tree_faults(const store::LayerRecord& layer, CancelToken& cancel);
  /// Those of `objects` that are damaged, with the reason.
  [[nodiscard]] std::vector<std::pair<Digest, std::string>> object_faults(const std::vector<Digest>& objects,
                                                                          CancelToken& cancel);
  /// As store::read_tree_sizes for a path relative to the store's root.
  [[nodiscard]] store::TreeSizes tree_sizes(const std::string& relative, CancelToken& cancel);
  /// As store::read_tree for trees/<layer>.
  [[nodiscard]] store::TreeScan read_tree(const Digest& layer, CancelToken& cancel);
  /// The bytes of a regular file, by a path relative to the store's root, into an open file.
  void copy_file(const std::string& relative, FdRef target, CancelToken& cancel);
  void export_tree(const ExportRequest& request, FdRef output, ProgressSink& progress, CancelToken& cancel);
  /// Removes `relative` (below the store root) with everything in it.
  void remove(const std::string& relative);

 private:
  const store::StoreLayout& store_;
  Ownership ownership_;
};

/// For store::recover: removes directly, and through the worker where that is refused.
void remove_tree_any_owner(const store::StoreLayout& store, const std::string& relative);
/// For store::recover: step 4 of store/commit.hpp, in the user namespace that owns the files.
void finish_switch_any_owner(const store::StoreLayout& store, const std::string& op_id, bool flat);

}  // namespace karapace::runtime
