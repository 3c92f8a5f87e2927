// SPDX-License-Identifier: Apache-2.0
// Runs the built `karapace` in a directory and a store of its own.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "karapace/base/json.hpp"
#include "karapace/base/subprocess.hpp"

namespace karapace::test {

[[nodiscard]] std::string karapace_binary();

class CliTest : public testing::Test {
 public:
  CliTest(const CliTest&) = delete;
  CliTest& operator=(const CliTest&) = delete;
  ~CliTest() override;

 protected:
  CliTest();

  /// Runs `karapace words...` in project(), with KARAPACE_STORE set to store().
  [[nodiscard]] RunResult karapace(const std::vector<std::string>& words, std::string_view input = {});
  /// The same; fails the test unless the status is 0.
  RunResult karapace_ok(const std::vector<std::string>& words);
  /// Runs with --json; the status must be as given and standard output one document.
  Json karapace_json(std::vector<std::string> words, int status = 0);
  [[nodiscard]] RunResult run_program(const std::string& program, const std::vector<std::string>& words,
                                      std::string_view input = {});

  void write(const std::string& name, std::string_view content);
  [[nodiscard]] std::string read(const std::string& name);
  [[nodiscard]] bool exists(const std::string& name);
  /// A manifest for the mock backend with these packages, each in quotes: "'git', 'curl'".
  void write_mock_manifest(std::string_view packages = {}, const std::string& name = "karapace.toml");
  /// Builds karapace.toml under `name` and returns its id.
  std::string build_mock(const std::string& name, std::string_view packages = {});
  /// Every path below project() and store() with its size and type: equal before and after means nothing
  /// changed.
  [[nodiscard]] std::vector<std::string> snapshot() const;

  [[nodiscard]] std::string project() const { return root_ + "/project"; }
  [[nodiscard]] std::string store() const { return root_ + "/store"; }

  std::vector<std::pair<std::string, std::string>> environment_;  // of the program; tests may add to it

 private:
  std::string root_;
};

}  // namespace karapace::test
