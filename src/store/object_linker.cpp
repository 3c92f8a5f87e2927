// SPDX-License-Identifier: Apache-2.0
#include "object_linker.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>

#include "karapace/base/clock.hpp"
#include "karapace/base/durable.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"

namespace karapace::store {
namespace {

constexpr int kRounds = 16;
constexpr int kReadObject = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;

std::string temporary_name() { return std::string(kTemporaryPrefix) + random_hex(12); }

void rename_into_place(FdRef from, const std::string& temporary, FdRef to, const std::string& name) {
  try {
    rename_at(from, temporary, to, name, Replace::Yes);
  } catch (const Error&) {
    try {
      try_unlink_at(from, temporary);
    } catch (const Error&) {
      // The failed rename is the one to report. The tree is staged, or the object is a temporary that gc
      // sweeps.
    }
    throw;
  }
}

/// Whatever has the name of an object and is none makes room. gc sweeps temporaries.
void take_name(FdRef objects, const std::string& temporary, const std::string& object) {
  const std::optional<struct stat> there = stat_at(objects, object);
  if (there && S_ISDIR(there->st_mode)) rename_at(objects, object, objects, temporary_name(), Replace::No);
  rename_into_place(objects, temporary, objects, object);
}

tree_io::Xattrs shared_xattrs(FdRef object) {
  tree_io::Xattrs result;
  for (auto& [key, value] : tree_io::read_xattrs(object)) {
    if (tree_io::is_recorded_xattr(key)) result.emplace_back(std::move(key), std::move(value));
  }
  return result;
}

bool is_good(FdRef object, const tree_io::FileInfo& info, std::uint64_t size, const Digest& content) {
  return S_ISREG(info.mode) && info.size == size && hash_file(object, size) == content;
}

std::optional<UniqueFd> open_object(FdRef objects, const std::string& name) {
  try {
    return try_open_beneath(objects, name, kReadObject);
  } catch (const SystemError& error) {
    // Not ours, or a file of a mapped tree that programs outside its user namespace cannot read: the name is
    // replaced.
    if (error.error_number() == ELOOP || error.error_number() == EACCES) return std::nullopt;
    throw;
  }
}

}  // namespace

void apply_attributes(FdRef file, const Attributes& attributes, bool flat) {
  // chown first: it takes setuid, setgid and capabilities away. xattrs before chmod: the last mode may forbid
  // to write them.
  if (!flat) tree_io::set_owner(file, "", attributes.uid, attributes.gid);
  for (const auto& [key, value] : attributes.xattrs) tree_io::write_xattr(file, key, value);
  tree_io::set_mode(file, attributes.mode);
  tree_io::set_mtime(file, attributes.mtime_ns);
}

bool ObjectLinker::agree(const tree_io::FileInfo& info, FdRef object, const Attributes& wanted) const {
  return tree_io::permissions(info.mode) == wanted.mode && info.uid == wanted.uid &&
         (flat_ || info.gid == wanted.gid) && info.mtime_ns == wanted.mtime_ns &&
         shared_xattrs(object) == wanted.xattrs;
}

/// Gives an object that nothing else uses the attributes that the tree wants. False if that cannot or must
/// not be.
bool ObjectLinker::take_on(const tree_io::FileInfo& info, FdRef object, const Attributes& wanted) const {
  const bool own = info.uid == wanted.uid;
  // Programs outside the user namespace must still be able to read it.
  if (info.links != 1 || (!own && (wanted.mode & 0004U) == 0)) return false;
  try {
    const tree_io::Xattrs old = shared_xattrs(object);
    // Attributes of a file that its owner may not write cannot be changed.
    if (!old.empty() || !wanted.xattrs.empty()) tree_io::set_mode(object, 0600);
    for (const auto& [key, value] : old) tree_io::erase_xattr(object, key);
    apply_attributes(object, wanted, flat_);
    return true;
  } catch (const SystemError& error) {
    if (error.code() == ErrorCode::NoSpace || error.error_number() == EIO) throw;
    return false;
  }
}

void ObjectLinker::replace_object(FdRef dir, const std::string& name, FdRef file, const std::string& object,
                                  bool may_share) {
  const std::string temporary = temporary_name();
  if (may_share && try_link_at(dir, name, objects_, temporary) == LinkResult::Linked)
    return take_name(objects_, temporary, object);
  const UniqueFd copy = tree_io::create_file(objects_, temporary);
  tree_io::copy_contents(file, copy);
  tree_io::set_mode(copy, 0444);
  const std::lock_guard guard(mutex_);
  copies_.push_back({temporary, object});
}

ObjectLinker::~ObjectLinker() {
  for (const Copy& copy : copies_) {
    try {
      try_unlink_at(objects_, copy.temporary);
    } catch (const Error&) {
      // What brought us here is the failure to report; gc sweeps temporaries.
    }
  }
}

void ObjectLinker::publish_copies() {
  const std::lock_guard guard(mutex_);
  if (copies_.empty()) return;
  sync_filesystem(objects_);
  while (!copies_.empty()) {
    const Copy copy = std::move(copies_.back());
    copies_.pop_back();
    take_name(objects_, copy.temporary, copy.object);
  }
}

bool ObjectLinker::adopt_as_new(FdRef dir, const std::string& name, const Digest& content) const {
  return try_link_at(dir, name, objects_, content.hex()) == LinkResult::Linked;
}

bool ObjectLinker::is_object(FdRef file, const Digest& content) const {
  const std::optional<struct stat> object = stat_at(objects_, content.hex());
  const tree_io::FileInfo info = tree_io::info_of(file);
  return object && object->st_dev == info.device && object->st_ino == info.inode;
}

UniqueFd ObjectLinker::bring_into_form(FdRef dir, const std::string& name, UniqueFd file,
                                       const tree_io::FileInfo& info, const Attributes& wanted,
                                       const std::vector<std::string>& dropped, bool shared) const {
  const bool other_mode = tree_io::permissions(info.mode) != wanted.mode;
  if (!other_mode && info.mtime_ns == wanted.mtime_ns && dropped.empty()) return file;
  if (shared) {
    const std::string temporary = temporary_name();
    UniqueFd copy = tree_io::create_file(dir, temporary);
    tree_io::copy_contents(file, copy);
    apply_attributes(copy, wanted, flat_);
    sync_file(copy);  // it is about to be an object
    rename_at(dir, temporary, dir, name, Replace::Yes);
    return copy;
  }
  for (const std::string& key : dropped) tree_io::erase_xattr(file, key);
  if (other_mode) tree_io::set_mode(file, wanted.mode);
  tree_io::set_mtime(file, wanted.mtime_ns);
  return file;
}

Sharing ObjectLinker::adopt(FdRef dir, const std::string& name, FdRef file, const Attributes& attributes,
                            const Digest& content, bool may_share) {
  if (may_share && adopt_as_new(dir, name, content)) return Sharing::NewObject;
  return join(dir, name, file, attributes, content, may_share);
}

Sharing ObjectLinker::join(FdRef dir, const std::string& name, FdRef file, const Attributes& attributes,
                           const Digest& content, bool may_share) {
  const std::string object_name = content.hex();
  const tree_io::FileInfo own = tree_io::info_of(file);
  for (int round = 0; round < kRounds; ++round) {
    const std::optional<UniqueFd> object = open_object(objects_, object_name);
    if (!object) {
      const LinkResult linked =
          may_share ? try_link_at(dir, name, objects_, object_name) : LinkResult::NotPossible;
      if (linked == LinkResult::Linked) return Sharing::NewObject;
      // Something that is no object has the name, or the file system cannot link.
      replace_object(dir, name, file, object_name, linked == LinkResult::Exists);
      return linked == LinkResult::Exists ? Sharing::NewObject : Sharing::OwnCopy;
    }
    tree_io::lock_file(*object);
    const tree_io::FileInfo info = tree_io::info_of(*object);
    if (info.links == 0) continue;  // replaced meanwhile
    if (info.device == own.device && info.inode == own.inode) return Sharing::Linked;
    if (!is_good(*object, info, own.size, content)) {
      replace_object(dir, name, file, object_name, may_share);
      return may_share ? Sharing::NewObject : Sharing::OwnCopy;
    }
    if (!may_share) return Sharing::OwnCopy;
    if (agree(info, *object, attributes)) {
      const std::string temporary = temporary_name();
      if (try_link_at(objects_, object_name, dir, temporary) != LinkResult::Linked) return Sharing::OwnCopy;
      rename_into_place(dir, temporary, dir, name);
      return Sharing::Linked;
    }
    if (info.links == 1 && info.uid == own.uid) {
      // Nothing shares the object's inode, so ours takes its place and the bytes are there once.
      replace_object(dir, name, file, object_name, may_share);
      return Sharing::NewObject;
    }
    return Sharing::OwnCopy;
  }
  throw Error(ErrorCode::Busy, fmt::format("object {} keeps being replaced", object_name));
}

void ObjectLinker::copy_object(FdRef dir, const std::string& name, FdRef object,
                               const Attributes& attributes) const {
  const UniqueFd file = tree_io::create_file(dir, name);
  tree_io::copy_contents(object, file);
  apply_attributes(file, attributes, flat_);
}

Sharing ObjectLinker::place(FdRef dir, const std::string& name, const Attributes& attributes,
                            const Digest& content, std::uint64_t size, bool may_share) const {
  const std::string object_name = content.hex();
  for (int round = 0; round < kRounds; ++round) {
    const std::optional<UniqueFd> object = try_open_beneath(objects_, object_name, kReadObject);
    if (!object) throw CorruptError("layer", "object " + object_name, "nothing");
    if (may_share) tree_io::lock_file(*object);
    const tree_io::FileInfo info = tree_io::info_of(*object);
    if (info.links == 0) continue;  // replaced meanwhile
    if (!S_ISREG(info.mode) || info.size != size) {
      throw CorruptError("object " + object_name, fmt::format("{} bytes", size),
                         fmt::format("{} bytes", info.size));
    }
    if (may_share && (agree(info, *object, attributes) || take_on(info, *object, attributes)) &&
        try_link_at(objects_, object_name, dir, name) == LinkResult::Linked) {
      return Sharing::Linked;
    }
    copy_object(dir, name, *object, attributes);
    return Sharing::OwnCopy;
  }
  throw Error(ErrorCode::Busy, fmt::format("object {} keeps being replaced", object_name));
}

}  // namespace karapace::store
