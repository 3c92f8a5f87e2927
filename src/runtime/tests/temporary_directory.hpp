// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/subprocess.hpp"

namespace karapace::test {

/// A directory that goes with this object. Not on a tmpfs by default: overlays need extended attributes there
/// (Linux 6.6).
class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(const std::string& parent = "/var/tmp")
      : path_(parent + "/karapace-test-XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) throw_errno("make a temporary directory");
    fd_ = open_path(path_, O_RDONLY | O_DIRECTORY);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    const std::size_t slash = path_.rfind('/');
    try {
      remove_tree_at(open_path(path_.substr(0, slash), O_RDONLY | O_DIRECTORY), path_.substr(slash + 1));
    } catch (const Error&) {
      remove_mapped();
    }
  }
  [[nodiscard]] const UniqueFd& fd() const noexcept { return fd_; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  /// What mapped environments made belongs to subordinate ids.
  void remove_mapped() const noexcept {
    try {
      Command remove;
      remove.program = "unshare";
      remove.arguments = {"--map-auto", "--map-root-user", "rm", "-rf", path_};
      remove.environment = host_tool_environment();
      static_cast<void>(run(remove));
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s stays: %s\n", path_.c_str(), error.what());
    }
  }

  std::string path_;
  UniqueFd fd_;
};

}  // namespace karapace::test
