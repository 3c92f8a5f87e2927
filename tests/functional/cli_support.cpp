// SPDX-License-Identifier: Apache-2.0
#include "cli_support.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace karapace::test {

namespace fs = std::filesystem;

std::string karapace_binary() { return std::string(KARAPACE_BIN_DIR) + "/karapace"; }

CliTest::CliTest() {
  std::string pattern = fs::temp_directory_path() / "karapace-cli-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
  root_ = pattern;
  fs::create_directory(project());
  environment_ = {{"PATH", "/usr/bin:/bin:/usr/sbin:/sbin"},
                  {"HOME", root_},
                  {"LANG", "C.UTF-8"},
                  {"KARAPACE_STORE", store()}};
}

CliTest::~CliTest() {
  std::error_code ignored;
  fs::remove_all(root_, ignored);
}

RunResult CliTest::run_program(const std::string& program, const std::vector<std::string>& words,
                               std::string_view input) {
  return run({.program = program,
              .arguments = words,
              .environment = environment_,
              .fds = {},
              .working_directory = project()},
             input, {.deadline = std::chrono::seconds(60)});
}

RunResult CliTest::karapace(const std::vector<std::string>& words, std::string_view input) {
  return run_program(karapace_binary(), words, input);
}

RunResult CliTest::karapace_ok(const std::vector<std::string>& words) {
  RunResult result = karapace(words);
  EXPECT_EQ(result.status, 0) << fmt::format("karapace {}", fmt::join(words, " ")) << "\n" << result.err;
  return result;
}

Json CliTest::karapace_json(std::vector<std::string> words, int status) {
  words.insert(words.begin(), "--json");
  const RunResult result = karapace(words);
  EXPECT_EQ(result.status, status) << fmt::format("karapace {}", fmt::join(words, " ")) << "\n" << result.err;
  return parse_json(result.out, "standard output");
}

void CliTest::write(const std::string& name, std::string_view content) {
  std::ofstream(project() + "/" + name, std::ios::binary) << content;
}

std::string CliTest::read(const std::string& name) {
  std::ostringstream text;
  text << std::ifstream(project() + "/" + name, std::ios::binary).rdbuf();
  return text.str();
}

bool CliTest::exists(const std::string& name) { return fs::exists(project() + "/" + name); }

void CliTest::write_mock_manifest(std::string_view packages, const std::string& name) {
  write(name, fmt::format("manifest_version = 1\n[base]\nimage = \"rolling\"\n[system]\npackages = [{}]\n"
                          "[runtime]\nbackend = \"mock\"\n",
                          packages));
}

std::string CliTest::build_mock(const std::string& name, std::string_view packages) {
  write_mock_manifest(packages);
  return karapace_json({"build", "--name", name}).at("env_id").get<std::string>();
}

std::vector<std::string> CliTest::snapshot() const {
  std::vector<std::string> paths;
  for (const auto& entry : fs::recursive_directory_iterator(root_)) {
    const bool file = entry.symlink_status().type() == fs::file_type::regular;
    paths.push_back(fmt::format("{} {} {}", entry.path().string(),
                                static_cast<int>(entry.symlink_status().type()),
                                file ? entry.file_size() : 0));
  }
  std::ranges::sort(paths);
  return paths;
}

}  // namespace karapace::test
