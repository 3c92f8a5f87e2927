// SPDX-License-Identifier: Apache-2.0
// The files and scripts of an .rpm, read from its header and not by a program of the base: who asks whose a
// file is doubts the tree that the program lies in. Format 4, as rpm's manual of the package format has it: a
// lead of 96 bytes, a header of signatures padded to 8 bytes, the header; numbers are big-endian.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "karapace/base/unique_fd.hpp"

namespace karapace::runtime {

struct RpmContents {
  std::vector<std::string> paths;    // without the first slash, files and directories
  std::vector<std::string> scripts;  // their texts
};

/// Throws InvalidInput if it is no package, is cut off, or says what cannot be.
[[nodiscard]] RpmContents read_rpm_contents(FdRef file);

/// `text` begins with the magic number; what follows its end is not looked at.
[[nodiscard]] RpmContents parse_rpm_header(std::string_view text);

}  // namespace karapace::runtime
