// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cerrno>

#include "karapace/base/durable.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/store/object_store.hpp"

namespace karapace::store {
namespace {

// An object that is also a file of a tree may be of any type of owner and mode, but it is always a regular
// file.
constexpr int kReadObject = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;

enum class Existing { Missing, Right, Wrong };

/// Also Wrong: one we may not read. Our own copy takes its name; the trees that use the other keep it.
Existing look_at_existing(FdRef dir, const std::string& name, std::string_view content,
                          const Digest& digest) {
  try {
    const std::optional<UniqueFd> file = try_open_beneath(dir, name, kReadObject);
    if (!file) return Existing::Missing;
    const struct stat info = stat_fd(*file);
    const bool right = S_ISREG(info.st_mode) && static_cast<std::uint64_t>(info.st_size) == content.size() &&
                       hash_file(*file) == digest;
    if (!right) return Existing::Wrong;
    // Whoever wrote it may not have come to this yet, and we promise that it survives.
    sync_file(*file);
    return Existing::Right;
  } catch (const SystemError& error) {
    if (error.error_number() == EACCES || error.error_number() == ELOOP) return Existing::Wrong;
    throw;
  }
}

}  // namespace

ObjectStore::ObjectStore(const StoreLayout& layout) : dir_(layout.objects()) {}

Digest ObjectStore::put(std::string_view content) {
  const Digest digest = hash_bytes(content);
  const std::string name = digest.hex();
  switch (look_at_existing(dir_, name, content, digest)) {
    case Existing::Missing:
      // Somebody may be faster; what they published has the same digest and was synced before.
      publish_object(dir_, name, content);
      break;
    case Existing::Right:
      sync_directory(dir_);
      break;
    case Existing::Wrong:
      replace_file(dir_, name, content, 0444);
      break;
  }
  return digest;
}

std::optional<std::string> ObjectStore::find(const Digest& digest, std::size_t limit) const {
  const std::string name = digest.hex();
  std::optional<std::string> content =
      with_context([&] { return "object " + name; }, [&] { return try_read_file_at(dir_, name, limit); });
  if (!content) return std::nullopt;
  if (const Digest found = hash_bytes(*content); found != digest) {
    throw CorruptError("object " + name, name, found.hex());
  }
  return content;
}

std::string ObjectStore::load(const Digest& digest, std::size_t limit) const {
  std::optional<std::string> content = find(digest, limit);
  if (!content) throw Error(ErrorCode::NotFound, fmt::format("object {} is not in the store", digest.hex()));
  return std::move(*content);
}

bool ObjectStore::contains(const Digest& digest) const { return exists_at(dir_, digest.hex()); }

UniqueFd ObjectStore::open(const Digest& digest) const {
  std::optional<UniqueFd> file = try_open_beneath(dir_, digest.hex(), kReadObject);
  if (!file) throw Error(ErrorCode::NotFound, fmt::format("object {} is not in the store", digest.hex()));
  return std::move(*file);
}

UniqueFd ObjectStore::open_verified(const Digest& digest, std::uint64_t limit) const {
  UniqueFd file = open(digest);
  if (const auto size = static_cast<std::uint64_t>(stat_fd(file).st_size); size > limit)
    throw CorruptError("object " + digest.hex(), fmt::format("at most {} bytes", limit),
                       fmt::format("{} bytes", size));
  if (const Digest found = hash_file(file); found != digest)
    throw CorruptError("object", digest.hex(), found.hex());
  return file;
}

std::vector<Digest> ObjectStore::list() const {
  std::vector<Digest> digests;
  for (const DirectoryEntry& entry : list_directory(dir_)) {
    if (Digest::is_valid(entry.name)) digests.push_back(Digest::parse(entry.name));
  }
  return digests;
}

}  // namespace karapace::store
