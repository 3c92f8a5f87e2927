// SPDX-License-Identifier: Apache-2.0
// The worked examples of docs/hash-contract.md, taken from the document itself: whoever reimplements an
// identity from the document gets ours. A fenced block with "name=..." behind its language is data; names
// repeat per example.
#include <gtest/gtest.h>

#include <map>
#include <sstream>

#include "samples.hpp"

namespace karapace {
namespace {

using testing::read_text;

using Blocks = std::map<std::string, std::string>;

/// The named blocks of each "### Example" section, by heading.
std::map<std::string, Blocks> read_examples(const std::string& path) {
  std::map<std::string, Blocks> examples;
  std::string heading;
  std::string name;
  bool in_block = false;
  std::istringstream lines(read_text(path));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("```")) {
      const std::size_t at = line.find("name=");
      name = !in_block && at != std::string::npos ? line.substr(at + 5) : "";
      in_block = !in_block;
    } else if (in_block && !name.empty()) {
      examples[heading][name] += line + "\n";
    } else if (!in_block && line.starts_with("### Example")) {
      heading = line;
    }
  }
  return examples;
}

std::string one_line(const Blocks& blocks, const std::string& name) {
  const std::string& text = blocks.at(name);
  EXPECT_EQ(text.find('\n'), text.size() - 1) << name;
  return text.substr(0, text.size() - 1);
}

TEST(HashContract, ManifestExamplesAreTrue) {
  int count = 0;
  for (const auto& [heading, blocks] : read_examples(KARAPACE_SOURCE_DIR "/docs/hash-contract.md")) {
    if (!blocks.contains("manifest")) continue;
    const Manifest manifest = parse_manifest(blocks.at("manifest"), heading);
    const std::string json = manifest_canonical_json(manifest);
    EXPECT_EQ(one_line(blocks, "manifest-json"), json) << heading;
    EXPECT_EQ(one_line(blocks, "manifest-digest"), hash_bytes(json).hex()) << heading;
    EXPECT_EQ(one_line(blocks, "preliminary-id"), compute_preliminary_id(manifest).str()) << heading;
    const std::string hashed = "karapace preliminary-id v2\n" + one_line(blocks, "preliminary-json");
    EXPECT_EQ(one_line(blocks, "preliminary-id"), hash_bytes(hashed).hex()) << heading;
    ++count;
  }
  EXPECT_GE(count, 2);
}

TEST(HashContract, LockExamplesAreTrue) {
  int count = 0;
  for (const auto& [heading, blocks] : read_examples(KARAPACE_SOURCE_DIR "/docs/hash-contract.md")) {
    if (!blocks.contains("lock")) continue;
    const LockFile lock = parse_lock(blocks.at("lock"), heading);
    EXPECT_NO_THROW(verify_integrity(lock, heading));
    EXPECT_EQ(serialize_lock(lock), blocks.at("lock")) << heading;
    const std::string json = one_line(blocks, "identity-json");
    EXPECT_EQ(json, identity_json(lock)) << heading;
    EXPECT_EQ(one_line(blocks, "env-id"), hash_bytes("karapace env-id v2\n" + json).hex()) << heading;
    EXPECT_EQ(one_line(blocks, "env-id"), lock.env_id) << heading;
    ++count;
  }
  EXPECT_GE(count, 2);
}

/// Every complete manifest and lock in the reference pages is read as it stands.
TEST(Documents, ExamplesParse) {
  int manifests = 0;
  int locks = 0;
  for (const std::string_view page : {"manifest-spec.md", "lock-spec.md", "hash-contract.md"}) {
    std::string block;
    bool in_toml = false;
    std::istringstream lines(read_text(fmt::format("{}/docs/{}", KARAPACE_SOURCE_DIR, page)));
    for (std::string line; std::getline(lines, line);) {
      if (!line.starts_with("```")) {
        if (in_toml) block += line + "\n";
        continue;
      }
      if (in_toml && block.find("manifest_version") != std::string::npos) {
        EXPECT_NO_THROW(static_cast<void>(parse_manifest(block, page))) << block;
        ++manifests;
      } else if (in_toml && block.find("lock_version") != std::string::npos) {
        EXPECT_NO_THROW(verify_integrity(parse_lock(block, page), page)) << block;
        ++locks;
      }
      in_toml = line.starts_with("```toml");
      block.clear();
    }
  }
  EXPECT_GE(manifests, 3);
  EXPECT_GE(locks, 2);
}

}  // namespace
}  // namespace karapace
