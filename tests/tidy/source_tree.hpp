// SPDX-License-Identifier: Apache-2.0
// The repository as text: which files there are, and what in a C++ file is code, comment or literal.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace karapace::tidy {

struct SourceFile {
  std::string path;  // relative to the repository, with '/'
  std::string text;
};

/// Everything people wrote: sources, scripts, build files, documents. Neither build trees nor test data.
/// Sorted by path.
[[nodiscard]] std::vector<SourceFile> load_tree(const std::string& root);

enum class Part : unsigned char { Code, Comment, Literal };

/// One entry per byte of a C++ text. Quotes count as part of their literal.
[[nodiscard]] std::vector<Part> classify(std::string_view cpp_text);

/// The text with everything but the code replaced by spaces; newlines stay, so offsets and lines agree.
[[nodiscard]] std::string code_only(std::string_view cpp_text);
/// The same, but literals stay.
[[nodiscard]] std::string without_comments(std::string_view cpp_text);

/// 1-based.
[[nodiscard]] std::size_t line_of(std::string_view text, std::size_t offset);

[[nodiscard]] bool is_cpp(const SourceFile& file);     // .cpp .hpp .h
[[nodiscard]] bool is_header(const SourceFile& file);  // .hpp .h
[[nodiscard]] bool is_cmake(const SourceFile& file);   // CMakeLists.txt, .cmake
[[nodiscard]] bool is_script(const SourceFile& file);  // begins with #!
/// Tests, fuzzers and benchmarks: what never runs in the product.
[[nodiscard]] bool is_test_code(const SourceFile& file);

}  // namespace karapace::tidy
