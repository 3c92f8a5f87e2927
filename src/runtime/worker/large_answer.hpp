// SPDX-License-Identifier: Apache-2.0
// What karapace-worker answers about every file of a tree goes through a file in memory instead of JSON: a
// million of them would be too long for that. Written and read by the same version of Karapace.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/store/tree_diff.hpp"
#include "karapace/store/tree_sizes.hpp"

namespace karapace::large_answer {

/// For the answer; also where nothing can be written to the store.
inline UniqueFd make_file() {
  UniqueFd file(::memfd_create("karapace-answer", MFD_CLOEXEC));
  if (!file) throw_errno("memfd_create");
  return file;
}

static_assert(std::has_unique_object_representations_v<store::LinkedInode>);

inline void write_inodes(FdRef file, const std::vector<store::LinkedInode>& inodes) {
  write_all(file, {reinterpret_cast<const char*>(inodes.data()), inodes.size() * sizeof inodes[0]});
}

inline std::vector<store::LinkedInode> read_inodes(FdRef file) {
  std::vector<store::LinkedInode> inodes(static_cast<std::size_t>(stat_fd(file).st_size) / sizeof inodes[0]);
  const std::size_t size = inodes.size() * sizeof inodes[0];
  for (std::size_t at = 0; at < size;) {
    const ssize_t got =
        ::pread(file.get(), reinterpret_cast<char*>(inodes.data()) + at, size - at, static_cast<off_t>(at));
    if (got <= 0) throw_errno("read the worker's answer");
    at += static_cast<std::size_t>(got);
  }
  return inodes;
}

/// A digit for the kind, the words of `what` with a comma after each, NUL, the path, NUL.
inline void write_changes(FdRef file, const std::vector<store::TreeChange>& changes) {
  constexpr std::size_t kChunk = 64UL * 1024;
  std::string text;
  for (const store::TreeChange& change : changes) {
    text += static_cast<char>('0' + static_cast<int>(change.kind));
    for (const std::string& word : change.what) (text += word) += ',';
    text += '\0';
    (text += change.path) += '\0';
    if (text.size() < kChunk) continue;
    write_all(file, text);
    text.clear();
  }
  write_all(file, text);
}

inline std::vector<store::TreeChange> read_changes(std::string_view text) {
  std::vector<store::TreeChange> changes;
  const auto take = [&text](char end) {
    const std::size_t length = text.find(end);
    if (length == std::string_view::npos)
      throw Error(ErrorCode::Internal, "the worker's answer ends too early");
    const std::string_view taken = text.substr(0, length);
    text.remove_prefix(length + 1);
    return taken;
  };
  while (!text.empty()) {
    store::TreeChange change;
    std::string_view head = take('\0');
    if (head.empty() || head[0] < '0' || head[0] > '0' + static_cast<int>(store::ChangeKind::Removed))
      throw Error(ErrorCode::Internal, "the worker's answer is none");
    change.kind = static_cast<store::ChangeKind>(head[0] - '0');
    head.remove_prefix(1);
    while (!head.empty()) {
      const std::size_t length = std::min(head.find(','), head.size() - 1);
      change.what.emplace_back(head.substr(0, length));
      head.remove_prefix(length + 1);
    }
    change.path = take('\0');
    changes.push_back(std::move(change));
  }
  return changes;
}

}  // namespace karapace::large_answer
