// SPDX-License-Identifier: Apache-2.0
// Files of trees and objects: one inode where they agree.
//
// An inode has one mode, owner, time and set of attributes, and a tree relies on its own. So an object's
// attributes may only change while the object is its only name, and whoever does that, or links it after
// comparing them, holds its flock.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "karapace/base/digest.hpp"
#include "karapace/base/unique_fd.hpp"
#include "tree_io.hpp"

namespace karapace::store {

enum class Sharing { NewObject, Linked, OwnCopy };

/// How a file of a tree looks on disk.
struct Attributes {
  std::uint32_t mode = 0;  // permission bits
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::int64_t mtime_ns = 0;
  tree_io::Xattrs xattrs;
};

class ObjectLinker {
 public:
  /// `flat`: group ids mean nothing, because all files of the tree are of one user.
  ObjectLinker(FdRef objects, bool flat) : objects_(objects), flat_(flat) {}
  ObjectLinker(const ObjectLinker&) = delete;
  ObjectLinker& operator=(const ObjectLinker&) = delete;
  ~ObjectLinker();

  /// Sees to it that the store has `content` of `name` in `dir` as an object, and makes both one inode if it
  /// can and `may_share`. `file` is open on it, `attributes` are its own. An object with wrong bytes is
  /// replaced.
  Sharing adopt(FdRef dir, const std::string& name, FdRef file, const Attributes& attributes,
                const Digest& content, bool may_share);
  /// adopt for a name that was just found taken: looks at what is there first, and links only if it has gone.
  Sharing join(FdRef dir, const std::string& name, FdRef file, const Attributes& attributes,
               const Digest& content, bool may_share);
  /// Copies that adopt had to make get their names when they are durable, all at once: now.
  void publish_copies();

  /// The usual case of adopt without opening anything: `name` in `dir` becomes the object, if there is none
  /// yet.
  [[nodiscard]] bool adopt_as_new(FdRef dir, const std::string& name, const Digest& content) const;

  /// True if `file` is the object's inode.
  [[nodiscard]] bool is_object(FdRef file, const Digest& content) const;

  /// Gives `name`, open as `file` with the attributes `info`, those that are wanted and takes `dropped` from
  /// it. A file that is `shared` has names whose owners rely on it as it is, and is replaced by a copy.
  /// Returns what is open on `name` then.
  [[nodiscard]] UniqueFd bring_into_form(FdRef dir, const std::string& name, UniqueFd file,
                                         const tree_io::FileInfo& info, const Attributes& wanted,
                                         const std::vector<std::string>& dropped, bool shared) const;

  /// Makes the new file `name` in `dir` from the object. `size` is what the object must have.
  Sharing place(FdRef dir, const std::string& name, const Attributes& attributes, const Digest& content,
                std::uint64_t size, bool may_share) const;

 private:
  [[nodiscard]] bool agree(const tree_io::FileInfo& info, FdRef object, const Attributes& wanted) const;
  [[nodiscard]] bool take_on(const tree_io::FileInfo& info, FdRef object, const Attributes& wanted) const;
  void replace_object(FdRef dir, const std::string& name, FdRef file, const std::string& object,
                      bool may_share);
  void copy_object(FdRef dir, const std::string& name, FdRef object, const Attributes& attributes) const;

  struct Copy {
    std::string temporary;
    std::string object;
  };

  FdRef objects_;
  bool flat_;
  std::mutex mutex_;
  std::vector<Copy> copies_;
};

/// Owner, mode, attributes and time of a file that is open for writing, in the order in which the kernel
/// keeps them all.
void apply_attributes(FdRef file, const Attributes& attributes, bool flat);
/// Programs outside the user namespace read objects. In a flat tree everything is theirs and they need the
/// owner's right; files of a mapped tree may belong to a subordinate id.
[[nodiscard]] constexpr bool is_shareable(std::uint32_t mode, bool flat) noexcept {
  return (mode & (flat ? 0400U : 0004U)) != 0;
}

}  // namespace karapace::store
