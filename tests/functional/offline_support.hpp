// SPDX-License-Identifier: Apache-2.0
// A manifest, and a lock whose files a server on loopback has.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli_support.hpp"
#include "http_test_server.hpp"
#include "karapace/schema/lock_file.hpp"

namespace karapace::test {

class OfflineTest : public CliTest {
 protected:
  OfflineTest();

  /// Writes karapace.toml for a small archive on the server; that alone can be built.
  void write_base_manifest();
  /// Writes karapace.toml and karapace.lock for that base and three packages that only look like some: they
  /// can be fetched and carried, not installed.
  void write_lock_of_packages();
  [[nodiscard]] std::string sha256_of(const std::string& content);
  /// What store/packages has, sorted.
  [[nodiscard]] std::vector<std::string> stored() const;
  /// Runs `karapace words...` in a network namespace that has not even a loopback device that is up.
  [[nodiscard]] RunResult karapace_without_network(const std::vector<std::string>& words);

  std::unique_ptr<HttpTestServer> server_ = std::make_unique<HttpTestServer>();
  std::string base_;  // content of the archive
  std::string base_sha256_;
  std::vector<std::string> hashes_;  // of everything in the lock of write_lock_of_packages(), sorted

 private:
  [[nodiscard]] std::string manifest(std::string_view packages) const;
};

}  // namespace karapace::test
