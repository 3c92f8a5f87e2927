// SPDX-License-Identifier: Apache-2.0
// A directory tree in memory: copied out again as often as wanted, compared, and cut at any moment. It reads
// the disk itself, with no code of the store, so that what it says about the store is a second opinion.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace karapace::lab {

using Inode = std::uint64_t;

struct Node {
  std::uint32_t mode = 0;  // with the type
  std::int64_t mtime_ns = 0;
  std::vector<std::pair<std::string, std::string>> xattrs;
  std::shared_ptr<const std::string> bytes;  // content of a file, target of a symlink
  std::map<std::string, Inode> names;        // of a directory
  [[nodiscard]] bool is_directory() const noexcept;
  [[nodiscard]] bool is_regular() const noexcept;
  [[nodiscard]] bool is_whiteout() const noexcept;
  bool operator==(const Node& other) const;
};

struct Image {
  Inode root = 0;
  std::map<Inode, std::shared_ptr<const Node>> nodes;

  /// Nothing if a component is missing.
  [[nodiscard]] std::optional<Inode> find(std::string_view path) const;
  [[nodiscard]] const Node* node(std::string_view path) const;
  /// Names of a directory; none if it is missing.
  [[nodiscard]] std::vector<std::string> list(std::string_view path) const;
};

[[nodiscard]] Image capture(const std::string& path);
/// Makes `path`, which must not exist. Returns which inode each one became.
std::map<Inode, Inode> write_out(const Image& image, const std::string& path);
/// Whatever lies there, however its modes are.
void remove_all(const std::string& path);

}  // namespace karapace::lab
