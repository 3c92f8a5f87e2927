// SPDX-License-Identifier: Apache-2.0
#include "local_image.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>
#include <variant>
#include <vector>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/json.hpp"
#include "karapace/base/text.hpp"
#include "karapace/remote/fetch.hpp"
#include "karapace/runtime/worker.hpp"
#include "karapace/store/object_store.hpp"

namespace karapace::core {

namespace oci = remote::oci;

namespace {

constexpr std::size_t kMaxMarkBytes = 4096;
constexpr std::size_t kCopyBytes = std::size_t{1} * 1024 * 1024;
constexpr const char* kUnpacked = "oci-archive";
constexpr const char* kCopy = "oci-blob";

}  // namespace

LocalImage::LocalImage(const store::StoreLayout& layout, const store::Operation& operation,
                       const runtime::ImageReference& image, ProgressSink& progress, CancelToken& cancel)
    : layout_(layout),
      operation_(operation),
      name_(image.canonical),
      tag_(image.tag),
      progress_(progress),
      cancel_(cancel) {
  const UniqueFd opened = open_path(image.path, O_RDONLY | O_NONBLOCK);
  if (S_ISDIR(stat_fd(opened).st_mode)) {
    directory_ = open_path(image.path, O_PATH | O_DIRECTORY);
  } else {
    progress.step("unpack", image.display_name);
    // Flat, whatever the environment is: only documents and blobs are in it, and they are to be ours.
    runtime::TreeWorker(layout, Ownership::Flat)
        .unpack(opened, operation.staging_path(), kUnpacked, progress, cancel);
    directory_ = open_directory(operation.staging(), kUnpacked);
  }
  const auto mark = try_read_file_at(directory_, "oci-layout", kMaxMarkBytes);
  if (!mark) refuse("it has no file 'oci-layout', so it is no OCI layout");
  const Json version = parse_json(*mark, printable(name_) + ": oci-layout", {.max_bytes = kMaxMarkBytes});
  if (!version.is_object() || version.value("imageLayoutVersion", Json()) != "1.0.0")
    refuse("its layout is not of version 1.0.0");
}

oci::ResolvedImage LocalImage::resolve(const std::string& architecture) {
  const auto text = try_read_file_at(directory_, "index.json", oci::kMaxManifestBytes);
  if (!text) refuse("it has no index.json");
  auto document = oci::parse_document(*text, "application/vnd.oci.image.index.v1+json", name_);
  auto& index = std::get<oci::Index>(document);
  std::set<std::string> tags;
  for (const oci::Descriptor& entry : index.manifests) tags.insert(entry.ref_name);
  if (tag_.empty() && tags.size() > 1) {
    refuse(fmt::format("it has several images: {}", printable(fmt::format("{}", fmt::join(tags, ", ")), 400)),
           "say which one: image = \"oci-layout:PATH:TAG\"");
  }
  if (!tag_.empty())
    std::erase_if(index.manifests, [&](const auto& entry) { return entry.ref_name != tag_; });
  if (index.manifests.empty()) refuse(tag_.empty() ? "it is empty" : "it has no image with that tag");
  // Its index.json is only a table of contents: what an entry leads to is the image.
  const oci::Descriptor chosen = oci::choose_platform(index, architecture, name_);
  Document first = manifest(chosen.sha256);
  if (first.sha256 != chosen.sha256) refuse(fmt::format("its blob sha256:{} has other bytes", chosen.sha256));
  first.media_type = chosen.media_type;
  return oci::resolve_image(*this, std::move(first), architecture, name_);
}

oci::DocumentSource::Document LocalImage::manifest(const std::string& sha256) {
  return read_blob(sha256, oci::kMaxManifestBytes);
}

oci::DocumentSource::Document LocalImage::config(const std::string& sha256) {
  return read_blob(sha256, oci::kMaxConfigBytes);
}

UniqueFd LocalImage::open_blob(const std::string& sha256) const {
  auto blob = try_open_beneath(directory_, "blobs/sha256/" + sha256, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!blob) refuse(fmt::format("its blob sha256:{} is missing", sha256));
  if (!S_ISREG(stat_fd(*blob).st_mode)) refuse(fmt::format("its blob sha256:{} is not a file", sha256));
  return std::move(*blob);
}

oci::DocumentSource::Document LocalImage::read_blob(const std::string& sha256, std::size_t limit) {
  Document document;
  document.bytes = read_all(open_blob(sha256), limit);
  // Of the bytes that were read, and not of a file that may be another one by now.
  const UniqueFd same = make_sealed_memfd("oci-document", document.bytes);
  document.sha256 = runtime::TreeWorker(layout_, Ownership::Flat).sha256(same, cancel_);
  return document;
}

void LocalImage::import(const LockedFile& file) {
  if (store::PackageStore(layout_).contains(file.sha256)) return;
  const UniqueFd blob = open_blob(file.sha256);
  if (file.size + kCopyBytes > free_bytes(operation_.staging()))
    throw Error(ErrorCode::NoSpace,
                fmt::format("{}: no room for its blob sha256:{}", printable(name_), file.sha256));
  try_unlink_at(operation_.staging(), kCopy);
  UniqueFd copy = open_beneath(operation_.staging(), kCopy, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  std::uint64_t copied = 0;
  while (copied <= file.size) {
    cancel_.check();
    std::string bytes(static_cast<std::size_t>(std::min<std::uint64_t>(kCopyBytes, file.size + 1 - copied)),
                      '\0');
    const ssize_t count = ::read(blob.get(), bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_errno(fmt::format("read blob sha256:{}", file.sha256));
    if (count == 0) break;
    bytes.resize(static_cast<std::size_t>(count));
    write_all(copy, bytes);
    copied += bytes.size();
    progress_.advance(std::min(copied, file.size), file.size, "bytes");
  }
  const auto found = runtime::TreeWorker(layout_, Ownership::Flat).sha256(copy, cancel_);
  copy.close();
  if (copied != file.size || found != file.sha256)
    refuse(fmt::format("its blob sha256:{} has other bytes: sha256:{}", file.sha256, found));
  remote::adopt_file(layout_, operation_.staging(), kCopy, file.sha256);
}

void LocalImage::refuse(std::string_view reason, std::string fix) const {
  throw Error(ErrorCode::InvalidInput, fmt::format("{}: {}", printable(name_), reason), std::move(fix));
}

}  // namespace karapace::core
