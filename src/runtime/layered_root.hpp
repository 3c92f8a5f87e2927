// SPDX-License-Identifier: Apache-2.0
// Looking into a stack of overlay directories without mounting it.
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "karapace/base/unique_fd.hpp"

namespace karapace::runtime {

/// Resolves paths as the mounted overlay would: layers from top to bottom, whiteouts and opaque directories,
/// symlinks that never leave the root. Only directories are opened, none is changed. Not for several threads
/// at once.
class LayeredRoot {
 public:
  /// `layers` top first, relative to `base`. One that does not exist is left out.
  LayeredRoot(FdRef base, const std::vector<std::string>& layers);

  struct Found {
    std::string path;  // without symlinks, absolute; of what is missing the rest as it was asked for
    bool exists = false;
    mode_t mode = 0;  // of what exists, with the file type
    /// Missing, and a new layer below the topmost one could not make it appear: the topmost hides it.
    bool hidden_by_top = false;
  };
  /// Follows symlinks, also the last one. Throws InvalidInput for a loop.
  [[nodiscard]] Found find(std::string_view path) const;
  /// Content of a regular file; nothing if there is none. Throws InvalidInput above `limit` bytes.
  [[nodiscard]] std::optional<std::string> read_file(std::string_view path, std::size_t limit) const;
  /// Names in a directory, merged, in bytewise order; empty if it is none.
  [[nodiscard]] std::vector<std::string> list(std::string_view path) const;

 private:
  struct Directory {
    std::vector<UniqueFd> layers;  // top first
    std::vector<bool> from_top;    // parallel: is it the topmost layer's?
    mode_t mode = 0;
    bool closed_by_top = false;  // the topmost layer's directory is opaque: nothing below shows
  };
  using DirectoryPtr = std::shared_ptr<const Directory>;
  struct Entry {
    bool exists = false;
    bool hidden_by_top = false;
    mode_t mode = 0;
    std::string link;              // symlink
    const UniqueFd* in = nullptr;  // the directory of the layer that has it
    std::shared_ptr<Directory> directory;
  };
  struct Walk;
  [[nodiscard]] Entry look_up(const Directory& parent, const std::string& name) const;
  [[nodiscard]] Walk walk(std::string_view path) const;

  Directory root_;
  /// Directories of the root that were opened, by name: most walks begin with the same one.
  mutable std::map<std::string, DirectoryPtr> known_;
};

}  // namespace karapace::runtime
