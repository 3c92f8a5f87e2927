// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>

#include <cstdlib>
#include <string>

#include "karapace/base/clock.hpp"
#include "karapace/base/file_at.hpp"

namespace karapace::worker {

/// A directory of this test, removed with everything in it.
class Scratch {
 public:
  Scratch() {
    parent_ = open_path(::testing::TempDir(), O_RDONLY | O_DIRECTORY);
    make_directory_at(parent_, name_, 0755);
    directory_ = open_directory(parent_, name_);
  }
  ~Scratch() { remove_tree_at(parent_, name_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  [[nodiscard]] FdRef fd() const { return directory_; }
  UniqueFd make_directory(const std::string& path) const {
    ensure_directory_at(directory_, path, 0755);
    return open_directory(directory_, path);
  }
  void write(const std::string& path, std::string_view content, mode_t mode = 0644) const {
    if (const auto slash = path.rfind('/'); slash != std::string::npos) {
      ensure_directory_at(directory_, path.substr(0, slash), 0755);
    }
    write_all(open_beneath(directory_, path, O_WRONLY | O_CREAT | O_TRUNC, mode), content);
  }

 private:
  std::string name_ = "karapace-" + random_hex(8);
  UniqueFd parent_;
  UniqueFd directory_;
};

}  // namespace karapace::worker
