// SPDX-License-Identifier: Apache-2.0
#include "image.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"

namespace karapace::lab {
namespace {

constexpr std::int64_t kNanoseconds = 1'000'000'000;
constexpr std::size_t kMaxXattr = 65536;

std::vector<std::pair<std::string, std::string>> read_xattrs(int file) {
  std::vector<std::pair<std::string, std::string>> result;
  std::string names(1024, '\0');
  const ssize_t length = ::flistxattr(file, names.data(), names.size());
  if (length < 0) throw_errno("listxattr");
  for (std::size_t at = 0; at < static_cast<std::size_t>(length);) {
    const std::string key(names.c_str() + at);
    at += key.size() + 1;
    std::string value(kMaxXattr, '\0');
    const ssize_t size = ::fgetxattr(file, key.c_str(), value.data(), value.size());
    if (size < 0) throw_errno("getxattr");
    value.resize(static_cast<std::size_t>(size));
    if (key.starts_with("user.")) result.emplace_back(key, std::move(value));
  }
  std::ranges::sort(result);
  return result;
}

std::string read_bytes(int file, std::size_t size) {
  std::string bytes(size, '\0');
  std::size_t used = 0;
  while (used < size) {
    const ssize_t got = ::pread(file, bytes.data() + used, size - used, static_cast<off_t>(used));
    if (got < 0) throw_errno("read");
    if (got == 0) break;
    used += static_cast<std::size_t>(got);
  }
  bytes.resize(used);
  return bytes;
}

class Capture {
 public:
  explicit Capture(Image& image) : image_(image) {}

  Inode add(int parent, const char* name) {
    struct stat info {};
    if (::fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) != 0) throw_errno(name);
    const auto [place, is_new] = image_.nodes.try_emplace(info.st_ino);
    if (!is_new && !S_ISDIR(info.st_mode)) return info.st_ino;
    auto node = std::make_shared<Node>();
    node->mode = info.st_mode;
    node->mtime_ns = info.st_mtim.tv_sec * kNanoseconds + info.st_mtim.tv_nsec;
    if (S_ISDIR(info.st_mode)) {
      add_directory(parent, name, *node);
    } else if (S_ISREG(info.st_mode)) {
      const UniqueFd file(::openat(parent, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
      if (!file) throw_errno(name);
      node->bytes =
          std::make_shared<std::string>(read_bytes(file.get(), static_cast<std::size_t>(info.st_size)));
      node->xattrs = read_xattrs(file.get());
    } else if (S_ISLNK(info.st_mode)) {
      std::array<char, PATH_MAX> target{};
      const ssize_t length = ::readlinkat(parent, name, target.data(), target.size());
      if (length < 0) throw_errno(name);
      node->bytes = std::make_shared<std::string>(target.data(), static_cast<std::size_t>(length));
    }
    image_.nodes[info.st_ino] = std::move(node);
    return info.st_ino;
  }

 private:
  void add_directory(int parent, const char* name, Node& node) {
    UniqueFd dir(::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!dir) {
      // Overlay's own work directory has no permissions at all, and nothing of anybody's in it.
      if (errno == EACCES) return;
      throw_errno(name);
    }
    node.xattrs = read_xattrs(dir.get());
    for (const DirectoryEntry& entry : list_directory(dir)) {
      node.names[entry.name] = add(dir.get(), entry.name.c_str());
    }
  }

  Image& image_;
};

class Writer {
 public:
  explicit Writer(const Image& image) : image_(image) {}

  void write(int parent, const std::string& name, Inode inode) {
    const Node& node = *image_.nodes.at(inode);
    if (const auto first = first_names_.find(inode); first != first_names_.end()) {
      if (::linkat(first->second.first, first->second.second.c_str(), parent, name.c_str(), 0) != 0)
        throw_errno("link " + name);
      return;
    }
    if (node.is_directory()) return write_directory(parent, name, inode, node);
    if (node.is_regular()) {
      write_file(parent, name, node);
    } else if (S_ISLNK(node.mode)) {
      if (::symlinkat(node.bytes->c_str(), parent, name.c_str()) != 0) throw_errno("symlink " + name);
    } else if (::mknodat(parent, name.c_str(), node.mode, 0) != 0) {
      throw_errno("mknod " + name);
    }
    set_time(parent, name, node);
    note(parent, name, inode);
    first_names_.try_emplace(inode, parent, name);
  }

  std::map<Inode, Inode> became;

 private:
  void note(int parent, const std::string& name, Inode inode) {
    struct stat info {};
    if (::fstatat(parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) throw_errno(name);
    became[inode] = info.st_ino;
  }

  void write_directory(int parent, const std::string& name, Inode inode, const Node& node) {
    if (::mkdirat(parent, name.c_str(), 0700) != 0) throw_errno("mkdir " + name);
    UniqueFd dir(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!dir) throw_errno(name);
    for (const auto& [child, child_inode] : node.names) write(dir.get(), child, child_inode);
    for (const auto& [key, value] : node.xattrs) {
      if (::fsetxattr(dir.get(), key.c_str(), value.data(), value.size(), 0) != 0)
        throw_errno("setxattr " + name);
    }
    if (::fchmod(dir.get(), node.mode & 07777U) != 0) throw_errno("chmod " + name);
    set_time(parent, name, node);
    note(parent, name, inode);
    dirs_.push_back(std::move(dir));  // later names of files in it are made through it
  }

  static void write_file(int parent, const std::string& name, const Node& node) {
    const UniqueFd file(::openat(parent, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file) throw_errno("create " + name);
    write_all(file, *node.bytes);
    for (const auto& [key, value] : node.xattrs) {
      if (::fsetxattr(file.get(), key.c_str(), value.data(), value.size(), 0) != 0)
        throw_errno("setxattr " + name);
    }
    if (::fchmod(file.get(), node.mode & 07777U) != 0) throw_errno("chmod " + name);
  }

  static void set_time(int parent, const std::string& name, const Node& node) {
    std::int64_t seconds = node.mtime_ns / kNanoseconds;
    std::int64_t rest = node.mtime_ns % kNanoseconds;
    if (rest < 0) {
      --seconds;
      rest += kNanoseconds;
    }
    const timespec times[] = {{seconds, rest}, {seconds, rest}};
    if (::utimensat(parent, name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) throw_errno("utimens " + name);
  }

  const Image& image_;
  std::map<Inode, std::pair<int, std::string>> first_names_;
  std::vector<UniqueFd> dirs_;
};

}  // namespace

bool Node::is_directory() const noexcept { return S_ISDIR(mode); }
bool Node::is_regular() const noexcept { return S_ISREG(mode); }
bool Node::is_whiteout() const noexcept { return S_ISCHR(mode); }

bool Node::operator==(const Node& other) const {
  const bool same_bytes = bytes == other.bytes || (bytes && other.bytes && *bytes == *other.bytes);
  return mode == other.mode && mtime_ns == other.mtime_ns && xattrs == other.xattrs && same_bytes &&
         names == other.names;
}

std::optional<Inode> Image::find(std::string_view path) const {
  Inode current = root;
  while (!path.empty()) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    const auto at = nodes.find(current);
    if (at == nodes.end()) return std::nullopt;
    const auto found = at->second->names.find(std::string(path.substr(0, slash)));
    if (found == at->second->names.end()) return std::nullopt;
    current = found->second;
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  return current;
}

const Node* Image::node(std::string_view path) const {
  const auto inode = find(path);
  return inode ? nodes.at(*inode).get() : nullptr;
}

std::vector<std::string> Image::list(std::string_view path) const {
  std::vector<std::string> result;
  if (const Node* directory = node(path)) {
    for (const auto& [name, inode] : directory->names) result.push_back(name);
  }
  return result;
}

Image capture(const std::string& path) {
  Image image;
  image.root = Capture(image).add(AT_FDCWD, path.c_str());
  return image;
}

std::map<Inode, Inode> write_out(const Image& image, const std::string& path) {
  Writer writer(image);
  writer.write(AT_FDCWD, path, image.root);
  return std::move(writer.became);
}

void remove_all(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  remove_tree_at(open_path(path.substr(0, slash), O_RDONLY | O_DIRECTORY), path.substr(slash + 1));
}

}  // namespace karapace::lab
