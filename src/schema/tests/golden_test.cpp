// SPDX-License-Identifier: Apache-2.0
// tests/data holds manifests with the exact bytes that must come out of them:
//   X.toml           the manifest
//   X.manifest.json  its canonical JSON
//   X.identity.json  the identity of the lock that the mock backend gives
//   X.lock           that lock
//   X.digests        manifest digest, preliminary id, env_id
// and should-fail-X.toml or .lock with should-fail-X.expected: a part of the message.
// KARAPACE_UPDATE_GOLDEN=1 writes them anew; check the difference by other means (b3sum) before committing.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "samples.hpp"

namespace karapace {
namespace {

using testing::mock_lock;
using testing::read_text;

std::vector<std::filesystem::path> data_files(std::string_view extension, bool failing) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(KARAPACE_TEST_DATA)) {
    const bool is_failing = entry.path().filename().string().starts_with("should-fail-");
    if (entry.path().extension() == extension && is_failing == failing) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

void expect_golden(std::filesystem::path path, std::string_view extension, const std::string& content) {
  path.replace_extension(extension);
  if (std::getenv("KARAPACE_UPDATE_GOLDEN") != nullptr) std::ofstream(path, std::ios::binary) << content;
  EXPECT_EQ(read_text(path), content) << path;
}

TEST(Golden, ManifestsGiveExactlyTheseBytes) {
  const auto files = data_files(".toml", false);
  ASSERT_GE(files.size(), 4U);
  for (const std::filesystem::path& path : files) {
    const Manifest manifest = load_manifest(path);
    const LockFile lock = mock_lock(manifest);
    const std::string json = manifest_canonical_json(manifest);
    expect_golden(path, ".manifest.json", json);
    expect_golden(path, ".identity.json", identity_json(lock));
    expect_golden(path, ".lock", serialize_lock(lock));
    expect_golden(path, ".digests",
                  fmt::format("manifest {}\npreliminary {}\nenv_id {}\n", hash_bytes(json).hex(),
                              compute_preliminary_id(manifest).str(), lock.env_id));
  }
}

TEST(Golden, LocksAreIntactAndReadBack) {
  const auto files = data_files(".lock", false);
  ASSERT_GE(files.size(), 5U);
  for (const std::filesystem::path& path : files) {
    const std::optional<LockFile> lock = load_lock(path);
    ASSERT_TRUE(lock.has_value());
    EXPECT_NO_THROW(verify_integrity(*lock, path.string()));
    EXPECT_EQ(serialize_lock(*lock), read_text(path)) << path;
  }
}

template <typename Load>
void expect_refused(std::string_view extension, std::size_t at_least, Load&& load) {
  const auto files = data_files(extension, true);
  ASSERT_GE(files.size(), at_least);
  for (const std::filesystem::path& path : files) {
    std::filesystem::path expected = path;
    std::string part = read_text(expected.replace_extension(".expected"));
    ASSERT_TRUE(part.ends_with('\n')) << expected;
    part.pop_back();
    try {
      load(path);
      ADD_FAILURE() << path << " was accepted";
    } catch (const ManifestError& error) {
      EXPECT_NE(std::string_view(error.what()).find(part), std::string_view::npos) << error.what();
      EXPECT_EQ(error.code(), ErrorCode::InvalidInput);
    }
  }
}

TEST(Golden, BadManifestsAreRefused) {
  expect_refused(".toml", 20, [](const std::string& path) { static_cast<void>(load_manifest(path)); });
}

TEST(Golden, BadLocksAreRefused) {
  expect_refused(".lock", 3,
                 [](const std::string& path) { verify_integrity(load_lock(path).value(), path); });
}

}  // namespace
}  // namespace karapace
