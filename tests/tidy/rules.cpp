// SPDX-License-Identifier: Apache-2.0
#include "rules.hpp"

#include <algorithm>
#include <cctype>
#include <map>
#include <regex>
#include <set>
#include <string_view>

namespace karapace::tidy {
namespace {

constexpr std::size_t kMaxLines = 500;

/// Calls `found(line number, line)` for each line.
template <typename Function>
void for_each_line(std::string_view text, Function&& found) {
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    found(++number, text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

/// One finding per match of `pattern` in `text`, which has the lines of the file.
Findings find_all(const SourceFile& file, const std::string& text, const std::regex& pattern,
                  const std::string& message) {
  Findings findings;
  for (std::sregex_iterator match(text.begin(), text.end(), pattern), end; match != end; ++match) {
    findings.push_back({file.path, line_of(text, static_cast<std::size_t>(match->position())),
                        message + ": " + match->str()});
  }
  return findings;
}

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

std::string_view trim_end(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) text.remove_suffix(1);
  return text;
}

std::string_view last_word(std::string_view text) {
  std::size_t begin = text.size();
  while (begin > 0 && is_word(text[begin - 1])) --begin;
  return text.substr(begin);
}

/// True if the name that follows `before` and stands in front of '(' is a call of the C function: not a
/// member, not qualified by a class or namespace of ours, not a declaration.
bool is_raw_call(std::string_view before) {
  before = trim_end(before);
  if (before.ends_with("::")) {
    const std::string_view scope = last_word(trim_end(before.substr(0, before.size() - 2)));
    static const std::set<std::string_view> kPlain{"", "std", "return", "co_return"};
    return kPlain.contains(scope);
  }
  if (before.ends_with('.') || before.ends_with("->")) return false;
  if (before.ends_with("&&")) return true;
  // "Type& open(" and "Type open(" declare; "return open(" and "else open(" call.
  if (before.ends_with('&') || before.ends_with('*') || before.ends_with('>') || before.ends_with('~'))
    return false;
  const std::string_view word = last_word(before);
  static const std::set<std::string_view> kBeforeCalls{"",   "return", "co_return", "throw", "else",
                                                       "do", "case",   "and",       "or",    "not"};
  return kBeforeCalls.contains(word);
}

/// True if this file defines a member of that name: an unqualified call then means the member.
bool defines_member(const std::string& code, const std::string& name) {
  return std::regex_search(code, std::regex("\\w::" + name + "\\s*\\("));
}

Findings find_raw_calls(const SourceFile& file, const std::regex& names, const std::string& message) {
  const std::string code = code_only(file.text);
  Findings findings;
  for (std::sregex_iterator match(code.begin(), code.end(), names), end; match != end; ++match) {
    const auto at = static_cast<std::size_t>(match->position());
    const std::string_view before = std::string_view(code).substr(0, at);
    if (!is_raw_call(before)) continue;
    if (!trim_end(before).ends_with("::") && defines_member(code, (*match)[1])) continue;
    findings.push_back({file.path, line_of(code, at), message + ": " + (*match)[1].str()});
  }
  return findings;
}

/// The module of "src/<module>/..."; empty elsewhere.
std::string module_of(const SourceFile& file) {
  if (!file.path.starts_with("src/")) return {};
  return file.path.substr(4, file.path.find('/', 4) - 4);
}

const std::map<std::string, std::set<std::string>>& module_graph() {
  static const std::map<std::string, std::set<std::string>> kGraph{
      {"base", {"base"}},
      {"schema", {"base", "schema"}},
      {"store", {"base", "store"}},
      {"runtime", {"base", "schema", "store", "runtime"}},
      {"remote", {"base", "store", "remote"}},
      {"server", {"base", "store", "server"}},
      {"core", {"base", "schema", "store", "runtime", "remote", "core"}},
      {"tui", {"base", "core", "tui"}},
      {"dbus", {"base", "schema", "store", "runtime", "core", "dbus"}},
      {"cli", {"base", "schema", "store", "runtime", "remote", "core", "tui", "cli"}},
  };
  return kGraph;
}

}  // namespace

Findings check_spdx_line(const SourceFile& file) {
  if (!is_cpp(file) && !is_cmake(file) && !is_script(file)) return {};
  const std::string tag = std::string("SPDX-License-") + "Identifier: Apache-2.0";
  // A script has its interpreter in the first line.
  const std::size_t limit = is_script(file) ? 2 : 1;
  bool found = false;
  for_each_line(file.text, [&](std::size_t number, std::string_view line) {
    found = found || (number <= limit && line.ends_with(tag));
  });
  return found ? Findings{} : Findings{{file.path, 1, "no SPDX line"}};
}

Findings check_length(const SourceFile& file) {
  if (!is_cpp(file) && !is_cmake(file) && !is_script(file)) return {};
  const auto lines = static_cast<std::size_t>(std::ranges::count(file.text, '\n'));
  if (lines <= kMaxLines) return {};
  return {{file.path, lines, "longer than 500 lines"}};
}

Findings check_whitespace(const SourceFile& file) {
  Findings findings;
  for_each_line(file.text, [&](std::size_t number, std::string_view line) {
    if (line.ends_with(' ') || line.ends_with('\t'))
      findings.push_back({file.path, number, "trailing whitespace"});
    if (line.ends_with('\r')) findings.push_back({file.path, number, "carriage return"});
    if (is_cpp(file) && line.contains('\t')) findings.push_back({file.path, number, "tab"});
  });
  if (!file.text.empty() && !file.text.ends_with('\n'))
    findings.push_back({file.path, 0, "no newline at the end"});
  return findings;
}

Findings check_ascii(const SourceFile& file) {
  if (!is_cpp(file) && !is_cmake(file) && !is_script(file)) return {};
  // What users read may hold any character: literals of C++ programs, documents.
  const std::vector<Part> parts =
      is_cpp(file) ? classify(file.text) : std::vector<Part>(file.text.size(), Part::Code);
  for (std::size_t i = 0; i < file.text.size(); ++i) {
    if (static_cast<unsigned char>(file.text[i]) >= 0x80 && parts[i] != Part::Literal) {
      return {{file.path, line_of(file.text, i), "character outside ASCII"}};
    }
  }
  return {};
}

Findings check_leftovers(const SourceFile& file) {
  // Written in halves, so that this file passes its own rule.
  static const std::regex kWords(
      "\\b(TO"
      "DO|FIX"
      "ME|X"
      "XX|HA"
      "CK)\\b|[Nn]ot (yet )?implem"
      "ented");
  return find_all(file, file.text, kWords, "leftover");
}

Findings check_no_shell(const SourceFile& file) {
  if (!is_cpp(file) || !file.path.starts_with("src/") || is_test_code(file)) return {};
  static const std::regex kCalls(R"(\b(system|popen|wordexp)\s*\()");
  static const std::regex kShells(R"re("/bin/(ba|da)?sh"|"(ba|da)?sh", *"-l?c")re");
  Findings findings = find_raw_calls(file, kCalls, "a shell between us and the kernel");
  const Findings shells =
      find_all(file, without_comments(file.text), kShells, "a shell between us and the kernel");
  findings.insert(findings.end(), shells.begin(), shells.end());
  return findings;
}

Findings check_syscalls(const SourceFile& file) {
  if (!is_cpp(file) || !file.path.starts_with("src/") || is_test_code(file)) return {};
  // base wraps them (close-on-exec, retries, the fault hook); karapace-init is what runs between fork and
  // exec.
  if (file.path.starts_with("src/base/") || file.path.starts_with("src/runtime/init/")) return {};
  static const std::regex kNames(
      R"(\b(open|openat|creat|rename|renameat|renameat2|unlink|unlinkat|rmdir|mkdir|mkdirat|link|linkat|symlink|)"
      R"(symlinkat|fork|vfork|clone|execv|execve|execvp|execvpe|execl|execlp|execveat|fexecve|kill|)"
      R"(posix_spawn|posix_spawnp)\s*\()");
  return find_raw_calls(file, kNames, "raw system call outside src/base and src/runtime/init");
}

Findings check_no_sleep(const SourceFile& file) {
  const std::string message = "sleep instead of waiting for the event";
  if (is_cpp(file)) {
    static const std::regex kNames(
        R"(\b(sleep_for|sleep_until|usleep|nanosleep|clock_nanosleep|sleep)\s*\()");
    return find_all(file, code_only(file.text), kNames, message);
  }
  if (!is_script(file)) return {};
  // As a command of the script itself; "karapace exec NAME -- sleep 100" is somebody to wait for.
  static const std::regex kCommand(R"((^|\n|;|&&|\|\||\bdo)[ \t]*sleep [0-9.$])");
  return find_all(file, file.text, kCommand, message);
}

Findings check_includes(const SourceFile& file) {
  if (!is_cpp(file)) return {};
  const std::string module = module_of(file);
  const auto allowed = module_graph().find(module);
  if (allowed == module_graph().end()) {
    return module.empty() ? Findings{}
                          : Findings{{file.path, 0, "module '" + module + "' is not in the graph"}};
  }
  const bool is_init = file.path.starts_with("src/runtime/init/") && !is_test_code(file);
  static const std::regex kInclude(R"re(#\s*include\s*["<](karapace/(\w+)/([^">]*))[">])re");
  const std::string text = without_comments(file.text);
  Findings findings;
  for (std::sregex_iterator match(text.begin(), text.end(), kInclude), end; match != end; ++match) {
    const std::string target = (*match)[2];
    const bool fits =
        is_init ? target == "base" || (target == "runtime" && (*match)[3].str().starts_with("plan/"))
                : allowed->second.contains(target);
    if (!fits) {
      findings.push_back({file.path, line_of(text, static_cast<std::size_t>(match->position())),
                          "against the module graph: " + (*match)[1].str()});
    }
  }
  return findings;
}

Findings check_header_guard(const SourceFile& file) {
  if (!is_header(file) || file.text.contains("\n#pragma once\n")) return {};
  return {{file.path, 1, "no #pragma once"}};
}

Findings check_catch_all(const SourceFile& file) {
  if (!is_cpp(file)) return {};
  static const std::regex kSwallowed(R"(catch\s*\(\s*\.\.\.\s*\)\s*\{\s*\})");
  // Comments stay: a handler that says why it may drop the exception is not empty to a reader.
  return find_all(file, file.text, kSwallowed, "swallowed exception without a reason");
}

Findings check_skips(const SourceFile& file) {
  if (!is_cpp(file)) return {};
  const std::string text = without_comments(file.text);
  static const std::regex kDisabled(
      "\\bDISAB"
      "LED_");
  Findings findings = find_all(file, text, kDisabled, "disabled test");
  const std::string skip = std::string("GTEST_") + "SKIP";
  if (text.contains(skip) && !text.contains("KARAPACE_TESTS_"
                                            "MUST_RUN")) {
    findings.push_back(
        {file.path, line_of(text, text.find(skip)), "a skip that KARAPACE_TESTS_MUST_RUN cannot fail"});
  }
  return findings;
}

namespace {

std::string without_cmake_comments(const std::string& text) {
  std::string kept;
  for_each_line(text, [&](std::size_t, std::string_view line) {
    kept += line.substr(0, line.find('#'));
    kept += '\n';
  });
  return kept;
}

bool contains_token(std::string_view text, std::string_view token) {
  for (std::size_t at = text.find(token); at != std::string_view::npos; at = text.find(token, at + 1)) {
    const char before = at == 0 ? ' ' : text[at - 1];
    const char after = at + token.size() == text.size() ? ' ' : text[at + token.size()];
    if (std::string_view(" \n(\"").contains(before) && std::string_view(" \n)\"").contains(after))
      return true;
  }
  return false;
}

/// Named by the CMakeLists.txt of its folder or of one above, relative to that, or by any CMake file from the
/// top.
bool is_listed(const std::string& path, const std::map<std::string, std::string>& cmake_files) {
  for (std::size_t slash = path.rfind('/'); slash != std::string::npos;
       slash = slash == 0 ? std::string::npos : path.rfind('/', slash - 1)) {
    const auto lists = cmake_files.find(path.substr(0, slash) + "/CMakeLists.txt");
    if (lists != cmake_files.end() && contains_token(lists->second, path.substr(slash + 1))) return true;
  }
  return std::ranges::any_of(cmake_files, [&](const auto& entry) {
    return contains_token(entry.second, "${CMAKE_SOURCE_DIR}/" + path);
  });
}

std::set<std::string> included_base_names(const std::vector<SourceFile>& files) {
  static const std::regex kInclude(R"re(#\s*include\s*"(?:[^"]*/)?([^"/]+)")re");
  std::set<std::string> names;
  for (const SourceFile& file : files) {
    if (!is_cpp(file)) continue;
    const std::string text = without_comments(file.text);
    for (std::sregex_iterator match(text.begin(), text.end(), kInclude), end; match != end; ++match) {
      names.insert((*match)[1]);
    }
  }
  return names;
}

}  // namespace

Findings check_nothing_forgotten(const std::vector<SourceFile>& files) {
  std::map<std::string, std::string> cmake_files;
  for (const SourceFile& file : files) {
    if (is_cmake(file)) cmake_files[file.path] = without_cmake_comments(file.text);
  }
  const std::set<std::string> included = included_base_names(files);
  Findings findings;
  for (const SourceFile& file : files) {
    if (!is_cpp(file)) continue;
    const std::string name = file.path.substr(file.path.rfind('/') + 1);
    const bool is_private_header = is_header(file) && !file.path.contains("/include/");
    const bool used = is_private_header ? included.contains(name) : is_listed(file.path, cmake_files);
    if (!used) {
      findings.push_back(
          {file.path, 0, is_private_header ? "nobody includes it" : "no CMakeLists.txt lists it"});
    }
  }
  return findings;
}

Findings check_verification_table(const std::vector<SourceFile>& files) {
  static const std::regex kCase(R"(\bTEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\))");
  static const std::regex kCheck(R"(\bcheck_(\w+)\(\))");
  std::set<std::string> tests;
  for (const SourceFile& file : files) {
    const bool is_check = file.path.ends_with(".bash");
    if (!is_cpp(file) && !is_check) continue;
    const std::regex& pattern = is_check ? kCheck : kCase;
    for (std::sregex_iterator match(file.text.begin(), file.text.end(), pattern), end; match != end;
         ++match) {
      tests.insert(is_check ? (*match)[1].str() : (*match)[1].str() + "." + (*match)[2].str());
    }
  }
  static const std::regex kMention(
      R"(`(?:(?:real_debian\.(?:user|plain|caller)|images|package_managers)\.(\w+)|(\w+\.\w+))`)");
  Findings findings;
  for (const SourceFile& file : files) {
    if (file.path != "docs/verification.md") continue;
    for (std::sregex_iterator match(file.text.begin(), file.text.end(), kMention), end; match != end;
         ++match) {
      const std::string name = (*match)[1].matched ? (*match)[1] : (*match)[2];
      if (tests.contains(name)) continue;
      findings.push_back({file.path, line_of(file.text, static_cast<std::size_t>(match->position())),
                          "no such test: " + name});
    }
  }
  return findings;
}

Findings check_document_links(const std::vector<SourceFile>& files) {
  static const std::regex kLink(R"(\bdocs/[a-z0-9-]+\.md\b)");
  std::set<std::string> names;
  for (const SourceFile& file : files) names.insert(file.path);
  Findings findings;
  for (const SourceFile& file : files) {
    if (file.path.starts_with("tests/tidy/")) continue;
    for (std::sregex_iterator match(file.text.begin(), file.text.end(), kLink), end; match != end; ++match) {
      if (names.contains(match->str())) continue;
      findings.push_back({file.path, line_of(file.text, static_cast<std::size_t>(match->position())),
                          "no such document: " + match->str()});
    }
  }
  return findings;
}

}  // namespace karapace::tidy
