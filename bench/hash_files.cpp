// SPDX-License-Identifier: Apache-2.0
// The floor under verifying and committing: reads and hashes every regular file below some directories, each
// inode once; with --link it then gives each a second name in a new directory, which is its hash. It does
// nothing else, and nothing of it is safe.
//
//   hash_files [--threads N] [--link NEW-DIRECTORY] DIRECTORY ...   (default: a thread for each processor)
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "karapace/base/digest.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"

namespace {

struct Found {
  std::vector<std::string> paths;
  std::vector<karapace::Digest> hashes;
  std::uintmax_t bytes = 0;
};

Found find_files(const std::vector<std::string>& directories) {
  Found found;
  std::set<ino_t> seen;
  for (const std::string& directory : directories) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
      struct stat status = {};
      if (::lstat(entry.path().c_str(), &status) != 0) karapace::throw_errno(entry.path().string());
      if (!S_ISREG(status.st_mode) || (status.st_nlink > 1 && !seen.insert(status.st_ino).second)) continue;
      found.paths.push_back(entry.path().string());
      found.bytes += static_cast<std::uintmax_t>(status.st_size);
    }
  }
  found.hashes.resize(found.paths.size());
  return found;
}

void hash_all(Found& found, unsigned threads) {
  std::atomic<std::size_t> next = 0;
  std::vector<std::jthread> workers;
  for (unsigned i = 0; i < threads; ++i) {
    workers.emplace_back([&] {
      for (std::size_t at = next++; at < found.paths.size(); at = next++)
        found.hashes[at] = karapace::hash_file(karapace::open_path(found.paths[at], O_RDONLY));
    });
  }
}

/// On one thread: links in one directory wait for each other.
void link_all(const Found& found, const std::string& directory) {
  std::filesystem::create_directory(directory);
  const karapace::UniqueFd dir = karapace::open_path(directory, O_RDONLY | O_DIRECTORY);
  for (std::size_t at = 0; at < found.paths.size(); ++at) {
    const int result =
        ::linkat(AT_FDCWD, found.paths[at].c_str(), dir.get(), found.hashes[at].hex().c_str(), 0);
    if (result != 0 && errno != EEXIST) karapace::throw_errno("link " + found.paths[at]);
  }
}

}  // namespace

int main(int argc, char** argv) {
  unsigned threads = std::max(1U, std::thread::hardware_concurrency());
  std::string link_directory;
  std::vector<std::string> directories;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument(argv[i]);
    if (argument == "--threads" && i + 1 < argc) {
      const std::string_view value(argv[++i]);
      std::from_chars(value.data(), value.data() + value.size(), threads);
    } else if (argument == "--link" && i + 1 < argc) {
      link_directory = argv[++i];
    } else {
      directories.emplace_back(argument);
    }
  }
  if (directories.empty() || threads == 0) {
    fmt::print(stderr, "usage: hash_files [--threads N] [--link NEW-DIRECTORY] DIRECTORY ...\n");
    return 2;
  }
  try {
    Found found = find_files(directories);
    hash_all(found, threads);
    if (!link_directory.empty()) link_all(found, link_directory);
    fmt::print("{} files, {} bytes\n", found.paths.size(), found.bytes);
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "hash_files: {}\n", error.what());
    return 1;
  }
}
