// SPDX-License-Identifier: Apache-2.0
// What is special about the layers of an image, which are unpacked one upon the other into one tree (OCI
// image-spec, layer.md). ".wh.NAME" removes NAME and ".wh..wh..opq" everything in its directory, but only
// what lower layers brought, wherever in the archive it stands. A parent that is a symbolic link of a lower
// layer is followed, inside the tree. Nobody else writes to the tree, so looking first and opening beneath
// the root then is no race.
#pragma once

#include <sys/stat.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "karapace/base/rel_path.hpp"
#include "karapace/base/unique_fd.hpp"

namespace karapace::worker {

/// One layer. `root` already has the layers below it.
class LayerRules {
 public:
  explicit LayerRules(FdRef root);

  /// True if the entry was a mark and is dealt with. Throws InvalidInput for one that marks nothing.
  bool apply_mark(const RelPath& path);
  /// Where an entry really goes, once the links in its parents are followed.
  [[nodiscard]] RelPath resolve(const RelPath& path);
  /// Before an entry is made at a path that resolve() returned.
  void make_room(const RelPath& path, bool for_directory);
  /// After all entries: directories that were changed without having an entry of their own get back the time
  /// they had, so that the tree does not tell when it was unpacked.
  void finish();

 private:
  void hide(std::vector<std::string> paths);
  void remember_time(const std::string& directory);
  [[nodiscard]] std::string resolve_directory(std::string_view path) const;

  FdRef root_;
  std::unordered_set<std::string> written_;    // by this layer
  std::unordered_set<std::string> ancestors_;  // of those
  std::map<std::string, timespec> times_;      // of directories, before we changed what is in them
  std::string last_parent_;
  std::optional<std::string> last_resolved_;
};

}  // namespace karapace::worker
