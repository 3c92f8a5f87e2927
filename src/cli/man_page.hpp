// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace karapace::cli {

struct ManPage {
  std::string file_name;  // "karapace-build.1"
  std::string content;    // man(7) macros
};
/// karapace.1 and one page per command, from the table.
[[nodiscard]] std::vector<ManPage> man_pages();

}  // namespace karapace::cli
