// SPDX-License-Identifier: Apache-2.0
#include "source_tree.hpp"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace karapace::tidy {
namespace {

namespace fs = std::filesystem;

bool is_data_directory(const fs::path& path) {
  const std::string name = path.filename().string();
  return name == "data" || name == "corpus" || name == "build" || name == ".git" || name == ".cache";
}

void load_directory(const fs::path& root, const fs::path& directory, std::vector<SourceFile>& files);

void load_entry(const fs::path& root, const fs::path& path, std::vector<SourceFile>& files) {
  if (fs::is_directory(fs::symlink_status(path))) {
    if (!is_data_directory(path)) load_directory(root, path, files);
    return;
  }
  if (!fs::is_regular_file(fs::symlink_status(path))) return;
  std::ifstream in(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  files.push_back({fs::relative(path, root).generic_string(), std::move(text)});
}

void load_directory(const fs::path& root, const fs::path& directory, std::vector<SourceFile>& files) {
  for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
    load_entry(root, entry.path(), files);
  }
}

/// Marks [from, to) and returns `to`.
std::size_t mark(std::vector<Part>& parts, std::size_t from, std::size_t to, Part part) {
  to = std::min(to, parts.size());
  std::fill(parts.begin() + static_cast<std::ptrdiff_t>(from),
            parts.begin() + static_cast<std::ptrdiff_t>(to), part);
  return to;
}

std::size_t end_after(std::string_view text, std::string_view what, std::size_t from) {
  const std::size_t at = text.find(what, from);
  return at == std::string_view::npos ? text.size() : at + what.size();
}

std::size_t end_of_quoted(std::string_view text, std::size_t start) {
  const char quote = text[start];
  for (std::size_t i = start + 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == quote || text[i] == '\n') {
      return i + 1;
    }
  }
  return text.size();
}

/// `start` is at the quote of R"delimiter( ... )delimiter".
std::size_t end_of_raw_string(std::string_view text, std::size_t start) {
  const std::size_t open = text.find('(', start);
  if (open == std::string_view::npos) return text.size();
  std::string close{")"};
  close += text.substr(start + 1, open - start - 1);
  close += '"';
  return end_after(text, close, open);
}

std::string keep(std::string_view text, bool literals) {
  const std::vector<Part> parts = classify(text);
  std::string kept(text);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    const bool stays = parts[i] == Part::Code || (literals && parts[i] == Part::Literal);
    if (!stays && kept[i] != '\n') kept[i] = ' ';
  }
  return kept;
}

}  // namespace

std::vector<SourceFile> load_tree(const std::string& root) {
  std::vector<SourceFile> files;
  load_directory(root, root, files);
  std::ranges::sort(files, {}, &SourceFile::path);
  return files;
}

std::vector<Part> classify(std::string_view text) {
  std::vector<Part> parts(text.size(), Part::Code);
  std::size_t i = 0;
  while (i < text.size()) {
    const char before = i == 0 ? ' ' : text[i - 1];
    if (text.substr(i, 2) == "//") {
      i = mark(parts, i, std::min(text.find('\n', i), text.size()), Part::Comment);
    } else if (text.substr(i, 2) == "/*") {
      i = mark(parts, i, end_after(text, "*/", i + 2), Part::Comment);
    } else if (text[i] == '"') {
      i = mark(parts, i, before == 'R' ? end_of_raw_string(text, i) : end_of_quoted(text, i), Part::Literal);
    } else if (text[i] == '\'' && std::isxdigit(static_cast<unsigned char>(before)) == 0) {
      // After a digit the quote separates digits: 1'000'000.
      i = mark(parts, i, end_of_quoted(text, i), Part::Literal);
    } else {
      ++i;
    }
  }
  return parts;
}

std::string code_only(std::string_view cpp_text) { return keep(cpp_text, false); }
std::string without_comments(std::string_view cpp_text) { return keep(cpp_text, true); }

std::size_t line_of(std::string_view text, std::size_t offset) {
  return 1 + static_cast<std::size_t>(std::ranges::count(text.substr(0, offset), '\n'));
}

bool is_header(const SourceFile& file) { return file.path.ends_with(".hpp") || file.path.ends_with(".h"); }
bool is_cpp(const SourceFile& file) { return file.path.ends_with(".cpp") || is_header(file); }
bool is_cmake(const SourceFile& file) {
  return file.path.ends_with("CMakeLists.txt") || file.path.ends_with(".cmake");
}
bool is_script(const SourceFile& file) { return file.text.starts_with("#!"); }

bool is_test_code(const SourceFile& file) {
  const std::string path = "/" + file.path;
  return std::ranges::any_of(std::vector<std::string_view>{"/tests/", "/fuzz/", "/bench/"},
                             [&](std::string_view part) { return path.contains(part); });
}

}  // namespace karapace::tidy
