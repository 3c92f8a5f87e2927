// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "karapace/base/clock.hpp"
#include "karapace/base/durable.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "karapace/store/object_store.hpp"
#include "tree_io.hpp"

namespace karapace::store {
namespace {

constexpr int kReadFile = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;

void check_sha256(std::string_view sha256) {
  if (!Digest::is_valid(sha256)) {
    throw Error(ErrorCode::InvalidInput, fmt::format("not a sha256: \"{}\"", printable(sha256)));
  }
}

struct Download {
  std::string sha256;
  std::string part;
  UniqueFd file;
  Digest digest;
};

/// The complete download, hashed; nothing if the artefact is in the store already.
std::optional<Download> open_download(FdRef downloads, FdRef packages, const std::string& sha256) {
  check_sha256(sha256);
  std::string part = sha256 + ".part";
  std::optional<UniqueFd> file = try_open_beneath(downloads, part, kReadFile);
  if (!file) {
    if (exists_at(packages, sha256)) return std::nullopt;
    throw Error(ErrorCode::NotFound, fmt::format("the download {} is not in the store", sha256));
  }
  if (!S_ISREG(stat_fd(*file).st_mode)) {
    throw Error(ErrorCode::InvalidInput, fmt::format("the download {} is not a regular file", sha256));
  }
  tree_io::set_mode(*file, 0444);
  Download download{sha256, std::move(part), std::move(*file), {}};
  download.digest = hash_file(download.file);
  return download;
}

bool object_is_right(FdRef objects, const Digest& digest) {
  const std::optional<UniqueFd> object = try_open_beneath(objects, digest.hex(), kReadFile);
  return object && S_ISREG(stat_fd(*object).st_mode) && hash_file(*object) == digest;
}

/// Gives the object a second name. Replaces whatever has it: a link cannot, so it goes through a temporary.
void link_package(FdRef objects, FdRef packages, const Download& download) {
  const std::string object = download.digest.hex();
  const std::string temporary = std::string(kTemporaryPrefix) + random_hex(12);
  if (try_link_at(objects, object, packages, temporary) != LinkResult::Linked) {
    const UniqueFd source = open_beneath(objects, object, kReadFile);
    const UniqueFd copy = tree_io::create_file(packages, temporary);
    tree_io::copy_contents(source, copy);
    tree_io::set_mode(copy, 0444);
    sync_file(copy);
  }
  rename_at(packages, temporary, packages, download.sha256, Replace::Yes);
  // Renaming one name of a file over another of its names does nothing and keeps both.
  try_unlink_at(packages, temporary);
}

}  // namespace

PackageStore::PackageStore(const StoreLayout& layout)
    : layout_(layout), dir_(layout.open_dir("store/packages")) {}

bool PackageStore::contains(const std::string& sha256) const {
  check_sha256(sha256);
  return exists_at(dir_, sha256);
}

std::optional<UniqueFd> PackageStore::open(const std::string& sha256) const {
  check_sha256(sha256);
  return try_open_beneath(dir_, sha256, kReadFile);
}

void PackageStore::adopt_downloads(const std::vector<std::string>& sha256s) {
  const UniqueFd downloads = layout_.open_dir("store/downloads");
  const UniqueFd objects = layout_.objects();
  std::vector<Download> batch;
  for (const std::string& sha256 : sha256s) {
    if (std::optional<Download> download = open_download(downloads, dir_, sha256)) {
      batch.push_back(std::move(*download));
    }
  }
  if (batch.empty()) return;
  // One barrier for all contents, before any of them gets a name that promises them.
  sync_filesystem(downloads);
  for (const Download& download : batch) {
    const std::string object = download.digest.hex();
    const bool keep = object_is_right(objects, download.digest);
    if (keep) {
      unlink_at(downloads, download.part);
    } else {
      rename_at(downloads, download.part, objects, object, Replace::Yes);
    }
    link_package(objects, dir_, download);
  }
  sync_directory(objects);
  sync_directory(dir_);
  sync_directory(downloads);
}

void PackageStore::link_into(const std::string& sha256, FdRef dir, const std::string& name) const {
  const std::optional<UniqueFd> source = open(sha256);
  if (!source) throw Error(ErrorCode::NotFound, fmt::format("the artefact {} is not in the store", sha256));
  switch (try_link_at(dir_, sha256, dir, name)) {
    case LinkResult::Linked:
      return;
    case LinkResult::Exists:
      throw Error(ErrorCode::AlreadyExists, fmt::format("\"{}\" is there already", printable(name)));
    case LinkResult::NotPossible:
      break;
  }
  const UniqueFd copy = tree_io::create_file(dir, name);
  tree_io::copy_contents(*source, copy);
  tree_io::set_mode(copy, 0444);
}

}  // namespace karapace::store
