// SPDX-License-Identifier: Apache-2.0
// The rules of the repository, one function each. A rule sees one file, or all of them where it must.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "source_tree.hpp"

namespace karapace::tidy {

struct Finding {
  std::string path;
  std::size_t line;  // 1-based; 0 where the whole file is meant
  std::string message;
};
using Findings = std::vector<Finding>;

Findings check_spdx_line(const SourceFile& file);
Findings check_length(const SourceFile& file);
Findings check_whitespace(const SourceFile& file);
Findings check_ascii(const SourceFile& file);
Findings check_leftovers(const SourceFile& file);
Findings check_no_shell(const SourceFile& file);
Findings check_syscalls(const SourceFile& file);
Findings check_no_sleep(const SourceFile& file);
Findings check_includes(const SourceFile& file);
Findings check_header_guard(const SourceFile& file);
Findings check_catch_all(const SourceFile& file);
Findings check_skips(const SourceFile& file);
/// Every source is built: .cpp files and public headers by a CMake file, private headers by an include.
Findings check_nothing_forgotten(const std::vector<SourceFile>& files);
/// Every test that docs/verification.md names is there: a GoogleTest case, or a check of
/// tests/functional/real_debian.
Findings check_verification_table(const std::vector<SourceFile>& files);
/// Every document that a document, program or comment names is there.
Findings check_document_links(const std::vector<SourceFile>& files);

}  // namespace karapace::tidy
