// SPDX-License-Identifier: Apache-2.0
#include "worker/copy_tree.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <string>
#include <vector>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "karapace/base/xattr.hpp"
#include "worker/tree_writer.hpp"

namespace karapace::worker {
namespace {

constexpr mode_t kPermissions = 07777;
constexpr std::uint32_t kOverflowId = 65534;  // how an id without a mapping looks from inside
constexpr std::uint64_t kProgressEvery = 256;

class Copier {
 public:
  Copier(FdRef source, FdRef target, const CopyOptions& options, ProgressSink& progress,
         const CancelToken& cancel)
      : source_(source),
        options_(options),
        progress_(progress),
        cancel_(cancel),
        writer_(target, options.owners) {}

  void run() {
    writer_.root_attributes(attributes_of(stat_fd(source_), source_, "."));
    std::vector<std::string> pending = {std::string()};
    while (!pending.empty()) {
      const std::string directory = std::move(pending.back());
      pending.pop_back();
      const UniqueFd opened = directory.empty() ? duplicate_readable() : open_directory(source_, directory);
      for (const DirectoryEntry& entry : list_directory(opened)) {
        cancel_.check();
        std::string path = directory.empty() ? entry.name : directory + "/" + entry.name;
        if (copy_entry(opened, entry.name, path)) pending.push_back(std::move(path));
        if (++entries_ % kProgressEvery == 0) progress_.advance(entries_, 0, "files");
      }
    }
    writer_.finish();
  }

 private:
  UniqueFd duplicate_readable() const { return duplicate(source_); }

  std::uint32_t owner(std::uint32_t id, std::uint32_t callers) const {
    return id == callers || id == kOverflowId ? 0 : id;
  }

  Attributes attributes_of(const struct stat& info, FdRef directory, const std::string& name) const {
    Attributes attributes;
    attributes.mode = info.st_mode & kPermissions;
    attributes.uid = owner(info.st_uid, options_.callers_uid);
    attributes.gid = owner(info.st_gid, options_.callers_gid);
    attributes.mtime = info.st_mtim;
    for (auto& [key, value] : list_xattrs(directory, name)) {
      if (!key.starts_with("system.")) attributes.xattrs.emplace_back(key, value);
    }
    return attributes;
  }

  // True for a directory that has to be visited.
  bool copy_entry(FdRef directory, const std::string& name, const std::string& text) {
    const RelPath path = RelPath::parse(text);
    const struct stat info = stat_at(directory, name).value();
    if (info.st_nlink > 1 && !S_ISDIR(info.st_mode)) {
      const auto [first, is_new] = links_.try_emplace({info.st_dev, info.st_ino}, text);
      if (!is_new) {
        writer_.hard_link(path, RelPath::parse(first->second));
        return false;
      }
    }
    const bool in_dev = text.starts_with("dev/");
    if (in_dev && !S_ISDIR(info.st_mode) && !S_ISREG(info.st_mode) && !S_ISLNK(info.st_mode)) return false;
    const Attributes attributes = attributes_of(info, directory, name);
    switch (info.st_mode & S_IFMT) {
      case S_IFREG:
        copy_file(directory, name, path, attributes);
        return false;
      case S_IFDIR:
        writer_.directory(path, attributes);
        return true;
      case S_IFLNK:
        writer_.symlink(path, read_link_at(directory, name), attributes);
        return false;
      case S_IFIFO:
        writer_.fifo(path, attributes);
        return false;
      default:
        throw Error(
            ErrorCode::InvalidInput,
            fmt::format("'{}': a socket or device cannot be part of an image", printable(text, 4096)));
    }
  }

  void copy_file(FdRef directory, const std::string& name, const RelPath& path,
                 const Attributes& attributes) {
    const UniqueFd from = open_beneath(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    UniqueFd to = writer_.begin_file(path);
    while (true) {
      // Shares the blocks where the file system can.
      const ssize_t count = ::copy_file_range(from.get(), nullptr, to.get(), nullptr, 64 * 1024 * 1024, 0);
      if (count == 0) break;
      if (count < 0 && errno == EINTR) continue;
      if (count < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP)) {
        copy_by_reading(from, to);
        break;
      }
      if (count < 0) throw_errno(fmt::format("copy '{}'", printable(path.str(), 4096)));
      cancel_.check();
    }
    writer_.finish_file(path, std::move(to), attributes);
  }

  void copy_by_reading(FdRef from, FdRef to) {
    buffer_.resize(1024 * 1024);
    while (true) {
      cancel_.check();
      const ssize_t count = ::read(from.get(), buffer_.data(), buffer_.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) throw_errno("read a file");
      if (count == 0) return;
      write_all(to, std::string_view(buffer_).substr(0, static_cast<std::size_t>(count)));
    }
  }

  FdRef source_;
  const CopyOptions& options_;
  ProgressSink& progress_;
  const CancelToken& cancel_;
  TreeWriter writer_;
  std::map<std::pair<dev_t, ino_t>, std::string> links_;
  std::string buffer_;
  std::uint64_t entries_ = 0;
};

}  // namespace

void copy_tree(FdRef source, FdRef target, const CopyOptions& options, ProgressSink& progress,
               const CancelToken& cancel) {
  Copier(source, target, options, progress, cancel).run();
}

}  // namespace karapace::worker
