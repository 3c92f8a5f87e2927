// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <tuple>

#include "karapace/base/digest.hpp"
#include "samples.hpp"
#include "toml_text.hpp"

namespace karapace {
namespace {

using testing::mock_lock;
using testing::RandomLock;
using testing::read_text;

constexpr std::string_view kManifest = R"(manifest_version = 1
[base]
image = "debian/12"
[system]
packages = ["git", "curl"]
[gui]
apps = ["firefox"]
[mounts]
work = "./:/work:ro"
)";

Manifest manifest() { return parse_manifest(kManifest, "karapace.toml"); }

/// A small lock with everything that refers to something else.
LockFile sample() {
  LockFile lock = mock_lock(manifest());
  lock.base.provider = BaseProvider::Bootstrap;
  lock.repositories = {
      {"debian", "http://deb.debian.org/debian", "bookworm", {"main"}},
      {"security", "http://deb.debian.org/debian-security", "bookworm-security", {"main", "contrib"}}};
  for (LockedPackage& package : lock.resolved_packages) {
    package.repository = "debian";
    package.path = "pool/main/x/" + package.name + ".deb";
    package.size = 17;
  }
  LockedPackage base = lock.resolved_packages.front();
  base.name = "base-files";
  base.repository = "security";
  base.requested = false;
  lock.base.packages = {base};
  seal_identity(lock);
  return lock;
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

std::string message_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const ManifestError& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidInput);
    return error.what();
  }
  return "(accepted)";
}

std::string parse_message(const std::string& text) {
  return message_of([&] { static_cast<void>(parse_lock(text, "karapace.lock")); });
}

#define EXPECT_CONTAINS(text, part) EXPECT_NE(std::string(text).find(part), std::string::npos) << (text)

TEST(LockFile, WrittenLocksReadBackEqual) {
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    const LockFile lock = RandomLock(seed).make();
    const std::string text = serialize_lock(lock);
    ASSERT_EQ(parse_lock(text, "x.lock"), lock) << "seed " << seed << "\n" << text;
    ASSERT_EQ(serialize_lock(parse_lock(text, "x.lock")), text) << "seed " << seed;
    ASSERT_NO_THROW(verify_integrity(lock, "x.lock"));
  }
}

bool same(const TomlNode& a, const TomlNode& b) {
  if (a.kind != b.kind || a.key != b.key || a.text != b.text || a.integer != b.integer ||
      a.boolean != b.boolean) {
    return false;
  }
  if (a.kind != TomlKind::Table) {
    return std::equal(a.children.begin(), a.children.end(), b.children.begin(), b.children.end(), same);
  }
  return a.children.size() == b.children.size() &&
         std::all_of(a.children.begin(), a.children.end(), [&](const TomlNode& child) {
           const TomlNode* other = b.find(child.key);
           return other != nullptr && same(child, *other);
         });
}

TEST(PlainToml, ReadsWhatWeWriteAsTheLibraryDoes) {
  int plain = 0;
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    const std::string text = serialize_lock(RandomLock(seed).make());
    const auto quick = try_parse_plain_toml(text);
    if (!quick) continue;
    ++plain;
    ASSERT_TRUE(same(*quick, parse_toml({text, "x.lock"}, kMaxLockBytes))) << "seed " << seed;
  }
  EXPECT_GT(plain, 100);
  EXPECT_TRUE(try_parse_plain_toml(serialize_lock(sample())).has_value());
}

/// One changed byte at a time: whatever the plain reader still takes must mean the same to the library.
TEST(PlainToml, NeverReadsDamagedTextDifferently) {
  const std::string good = serialize_lock(sample());
  RandomLock random(7);
  int taken = 0;
  for (int round = 0; round < 3'000; ++round) {
    std::string text = good;
    static constexpr std::string_view kBytes = "\"\\#=[]{},.\n\r\t '0a_-\x01\x7f";
    const std::size_t at = random.below(static_cast<std::uint32_t>(text.size()));
    switch (random.below(3)) {
      case 0:
        text[at] = kBytes[random.below(kBytes.size())];
        break;
      case 1:
        text.insert(at, 1, kBytes[random.below(kBytes.size())]);
        break;
      default:
        text.erase(at, 1 + random.below(3));
    }
    const auto quick = try_parse_plain_toml(text);
    if (!quick) continue;
    ++taken;
    std::optional<TomlNode> full;
    ASSERT_NO_THROW(full = parse_toml({text, "x.lock"}, kMaxLockBytes)) << text;
    ASSERT_TRUE(same(*quick, *full)) << text;
  }
  EXPECT_GT(taken, 200);
}

TEST(LockFile, LineEndsAndQuotingDoNotMatter) {
  const LockFile lock = sample();
  std::string text = serialize_lock(lock);
  std::string crlf;
  for (const char c : text) crlf += c == '\n' ? "\r\n" : std::string(1, c);
  EXPECT_EQ(parse_lock(crlf, "x.lock"), lock);
  EXPECT_EQ(parse_lock(replaced(text, "\"debian/12\"", "'debian/12' # the base"), "x.lock"), lock);
}

TEST(LockFile, SealedLocksFitTheirManifest) {
  const IntentReport report = compare_intent(sample(), manifest());
  EXPECT_TRUE(report.fits());
  EXPECT_TRUE(report.reasons.empty());
}

TEST(LockFile, FaultsAreReportedWithTheirPlace) {
  const std::string good = serialize_lock(sample());
  const std::string hash = std::string(64, 'a');
  const std::vector<std::tuple<std::string, std::string, std::string>> cases = {
      {"arch = ", "arhc = ", "unknown key 'arhc', did you mean 'arch'?"},
      {"lock_version = 2", "lock_version = 3\nnew = 1",
       "karapace.lock:2:16: unsupported lock_version: 3, expected 2"},
      {"lock_version = 2", "lock_version = \"2\"", "'lock_version' must be an integer, found a string"},
      {"provider = \"bootstrap\"", "provider = \"wishes\"", "unknown base provider 'wishes'"},
      {"provider = \"bootstrap\"", "provider = \"tar\"", "missing key 'base.sha256'"},
      {"hardware_gpu = false", "hardware_gpu = 0",
       "'hardware_gpu' must be a boolean (true or false), found an integer"},
      {"hardware_gpu = false\n", "", "missing key 'hardware_gpu'"},
      {"ownership = \"flat\"", "ownership = \"round\"", "unknown system.ownership 'round'"},
      {"runtime_backend = \"namespace\"", "runtime_backend = \"OCI\"", "'OCI' is not a backend"},
      {"runtime_backend = \"namespace\"", "runtime_backend = \"magic\"", "unknown runtime.backend 'magic'"},
      {"name = \"curl\"", "name = \"-curl\"", "'-curl' is not a package name"},
      {"name = \"curl\"", "name = \"zcurl\"", "twice in the list or not in order"},
      {"name = \"firefox\"", "name = \"curl\"", "package 'curl' 0.0.0-mock all is twice in the list"},
      {"repository = \"debian\"", "repository = \"elsewhere\"",
       "there is no repository 'elsewhere' in this lock"},
      {"path = \"pool/", "path = \"../", "karapace.lock:"},
      {"path = \"pool/", "path = \"/etc/", "karapace.lock:"},
      {"path = \"pool/", "path = \"po ol/", "is not a path"},
      {"size = 17", "size = -1", "'resolved_packages[0].size' is out of range"},
      {"sha256 = \"", "sha256 = \"A", "is not 64 lower-case hex digits"},
      {"url = \"http://deb", "url = \"javascript:deb", "is not a URL that packages can come from"},
      {"name = \"security\"", "name = \"a\"", "repository 'a' is twice in the list or not in order"},
      {"container_path = \"/work\"", "container_path = \"/../etc\"", "contains '..'"},
      {"access = \"ro\"", "access = \"x\"", "unknown mount access 'x'"},
      {"    \"git\",", "    \"git\",\n    \"git\",", "'git' is not in order"},
      {"[[resolved_packages]]", "[[base]]", "duplicate key 'base'"},
      {"[base]", "[base]\npackages = []", "unknown key 'packages' in [base]"},
      {"requested = true", "reqested = true",
       "unknown key 'reqested' in [[resolved_packages]], did you mean 'requested'?"},
  };
  for (const auto& [from, to, message] : cases) {
    EXPECT_CONTAINS(parse_message(replaced(good, from, to)), message);
  }
  const std::string text = replaced(good, "version = \"0.0.0-mock\"", "version = \"1 2\"");
  EXPECT_EQ(parse_message(text), "karapace.lock:45:11: '1 2' is not a version");
}

TEST(LockFile, HugeOrBinaryFilesAreRefused) {
  EXPECT_CONTAINS(parse_message(std::string(kMaxLockBytes + 1, '\n')), "too large");
  EXPECT_CONTAINS(parse_message(std::string("lock_version = 2\n\0", 18)), "NUL byte");
  EXPECT_CONTAINS(parse_message("# \xff\n"), "not valid UTF-8");
  EXPECT_CONTAINS(parse_message(""), "missing key 'lock_version'");
}

TEST(LockFile, WhatIsLeftOfACutOrEmptiedFileSaysWhatToDo) {
  const std::string good = serialize_lock(sample());
  const std::string path = ::testing::TempDir() + "/karapace-lock-test.lock";
  for (const std::size_t size : {std::size_t{0}, std::size_t{90}, good.size() / 2, good.size() - 30}) {
    std::ofstream(path) << good.substr(0, size);
    try {
      static_cast<void>(load_lock(path));
      ADD_FAILURE() << size;
    } catch (const ManifestError& error) {
      EXPECT_CONTAINS(error.fix(), "remove it and run `karapace build`");
    }
  }
  std::remove(path.c_str());
}

TEST(LockFile, EveryHandEditIsNoticed) {
  const std::string good = serialize_lock(sample());
  const std::vector<std::tuple<std::string, std::string, std::string>> cases = {
      {"version = \"0.0.0-mock\"", "version = \"0.0.1-mock\"", "env_id mismatch: lock has '"},
      {"hardware_gpu = false", "hardware_gpu = true", "env_id mismatch"},
      {"arch = \"amd64\"", "arch = \"arm64\"", "env_id mismatch"},
      {"base_image = \"debian/12\"", "base_image = \"debian/13\"", "checksum mismatch"},
      {"size = 17", "size = 18", "checksum mismatch"},
      {"pool/main/x/curl.deb", "pool/main/x/evil.deb", "checksum mismatch"},
      {"http://deb.debian.org/debian\"", "http://example.org/debian\"", "checksum mismatch"},
      {"requested = true\n", "", "env_id mismatch"},
      {"suite = \"bookworm\"", "suite = \"trixie\"", "checksum mismatch"},
      {"    \"git\",\n", "", "checksum mismatch"},
  };
  for (const auto& [from, to, message] : cases) {
    const LockFile lock = parse_lock(replaced(good, from, to), "karapace.lock");
    EXPECT_CONTAINS(message_of([&] { verify_integrity(lock, "karapace.lock"); }), message);
  }
  LockFile lock = sample();
  lock.short_id = "000000000000";
  const LockFile read = parse_lock(serialize_lock(lock), "karapace.lock");
  EXPECT_CONTAINS(message_of([&] { verify_integrity(read, "karapace.lock"); }), "short_id mismatch");
}

TEST(LockFile, IntegrityChecksVersionAndOrderOfLocksInMemory) {
  LockFile lock = sample();
  lock.lock_version = 3;
  EXPECT_CONTAINS(message_of([&] { verify_integrity(lock, "x"); }), "unsupported lock_version: 3");
  lock = sample();
  std::swap(lock.resolved_packages[0], lock.resolved_packages[1]);
  EXPECT_CONTAINS(message_of([&] { verify_integrity(lock, "x"); }), "a list is not in its order");
}

TEST(LockFile, ChecksumIsThatOfTheVisibleText) {
  const std::string text = serialize_lock(sample());
  std::string without;
  std::string checksum;
  for (std::size_t at = 0; at < text.size();) {
    const std::string line = text.substr(at, text.find('\n', at) + 1 - at);
    at += line.size();
    if (line.starts_with("checksum")) checksum = line;
    if (!line.starts_with('#') && !line.starts_with("checksum")) without += line;
  }
  EXPECT_EQ(checksum, "checksum = \"" + hash_bytes(without).hex() + "\"\n");
}

TEST(LockFile, AChangedPackageChangesOnlyItsBlock) {
  LockFile lock = sample();
  const std::string before = serialize_lock(lock);
  lock.resolved_packages[1].version = "9";
  seal_identity(lock);
  const std::string after = serialize_lock(lock);
  int changed = 0;
  std::size_t a = 0;
  std::size_t b = 0;
  while (a < before.size() && b < after.size()) {
    const std::string line_a = before.substr(a, before.find('\n', a) + 1 - a);
    const std::string line_b = after.substr(b, after.find('\n', b) + 1 - b);
    changed += line_a == line_b ? 0 : 1;
    a += line_a.size();
    b += line_b.size();
  }
  EXPECT_EQ(changed, 4);  // version, env_id, short_id, checksum
}

TEST(LockFile, FilesOfABaseKeepTheirOrderAndAreChecked) {
  LockFile lock = sample();
  lock.base = {};
  lock.base.provider = BaseProvider::Oci;
  lock.base.distribution = "registry.example:5000/team/tool:1.2";
  lock.base.sha256 = std::string(64, 'a');
  lock.base.index_sha256 = std::string(64, 'b');
  const std::string url = "https://registry.example:5000/v2/team/tool/blobs/x";
  lock.base.files = {{"manifest", url, std::string(64, 'a'), 5},
                     {"layer", url, std::string(64, 'f'), 6},
                     {"layer", "", std::string(64, 'c'), 7},
                     {"layer", url, std::string(64, 'f'), 6}};
  seal_identity(lock);
  const std::string text = serialize_lock(lock);
  EXPECT_EQ(parse_lock(text, "karapace.lock").base.files, lock.base.files);
  EXPECT_CONTAINS(text, "\n[[base_files]]\nrole = \"manifest\"\nurl = \"https://registry.example:5000/");
  const std::vector<std::tuple<std::string, std::string, std::string>> cases = {
      {"role = \"layer\"", "role = \"script\"", "'script' is not what a file of a base can be"},
      {"url = \"https://registry", "url = \"file://registry", "does not begin with https:// or http://"},
      {"sha256 = \"ffff", "sha256 = \"fff/", "is not 64 lower-case hex digits"},
      {"size = 6\n", "size = -6\n", "size"},
      {"index_sha256 = \"", "index_sha256 = \"b", "is not 64 lower-case hex digits"},
  };
  for (const auto& [from, to, message] : cases)
    EXPECT_CONTAINS(parse_message(replaced(text, from, to)), message);
}

TEST(LockFile, LiesBesideItsManifest) {
  EXPECT_EQ(lock_path_for("karapace.toml"), "karapace.lock");
  EXPECT_EQ(lock_path_for("a/b.c.toml"), "a/b.c.lock");
  EXPECT_EQ(lock_path_for("x.toml/manifest"), "x.toml/manifest.lock");
  EXPECT_EQ(lock_path_for("dir/.toml"), "dir/.toml.lock");
  EXPECT_EQ(lock_path_for("manifest.TOML"), "manifest.TOML.lock");
}

TEST(Intent, PackagesAreComparedAsWritten) {
  LockFile lock = sample();
  Manifest changed = manifest();
  changed.system_packages = {"curl", "git=1:2.39"};
  IntentReport report = compare_intent(lock, changed);
  EXPECT_EQ(report.added, std::vector<std::string>{"git=1:2.39"});
  EXPECT_EQ(report.removed, std::vector<std::string>{"git"});
  EXPECT_FALSE(report.foreign);
  EXPECT_FALSE(report.policy_changed);
  EXPECT_TRUE(report.needs_resolution());
  // A name that the package manager knows under another one still fits.
  apply_policy(lock, changed);
  report = compare_intent(lock, changed);
  EXPECT_TRUE(report.fits());
}

TEST(Intent, EveryPolicyFieldIsCompared) {
  const LockFile lock = sample();
  const std::vector<std::function<void(Manifest&)>> changes = {
      [](Manifest& m) { m.hardware_gpu = true; },
      [](Manifest& m) { m.hardware_audio = true; },
      [](Manifest& m) { m.network_isolation = true; },
      [](Manifest& m) { m.runtime_backend = "oci"; },
      [](Manifest& m) { m.cpu_shares = 0; },
      [](Manifest& m) { m.memory_limit_mb = 1; },
      [](Manifest& m) { m.mounts.clear(); },
      [](Manifest& m) { m.mounts[0].access = MountAccess::ReadWrite; },
  };
  for (const auto& change : changes) {
    Manifest changed = manifest();
    change(changed);
    const IntentReport report = compare_intent(lock, changed);
    EXPECT_TRUE(report.policy_changed);
    EXPECT_FALSE(report.foreign || report.needs_resolution() || report.fits());
    EXPECT_EQ(report.reasons.size(), 1U);
  }
  Manifest home = manifest();
  home.home = Home::Shared;
  EXPECT_TRUE(compare_intent(lock, home).fits());
}

TEST(Intent, MovingANameToAppsIsAPolicyChangeOnly) {
  Manifest moved = manifest();
  moved.gui_apps = {"curl", "firefox"};
  moved.system_packages = {"git"};
  const IntentReport report = compare_intent(sample(), moved);
  EXPECT_TRUE(report.policy_changed);
  EXPECT_FALSE(report.needs_resolution());
}

TEST(Intent, LocksOfOtherManifestsAreForeign) {
  const LockFile lock = sample();
  Manifest other = manifest();
  other.base_image = "debian/13";
  EXPECT_TRUE(compare_intent(lock, other).foreign);
  other = manifest();
  other.ownership = Ownership::Mapped;
  EXPECT_TRUE(compare_intent(lock, other).foreign);
  other = manifest();
  other.system_packages = {"emacs"};
  other.gui_apps.clear();
  EXPECT_TRUE(compare_intent(lock, other).foreign);
  // Removing everything, or adding to nothing, is an edit.
  other.system_packages.clear();
  EXPECT_FALSE(compare_intent(lock, other).foreign);
  EXPECT_FALSE(compare_intent(mock_lock(other), manifest()).foreign);
}

class LockOnDisk : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "lock-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
    path_ = directory_ + "/karapace.lock";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  struct stat status() const {
    struct stat result {};
    EXPECT_EQ(::stat(path_.c_str(), &result), 0);
    return result;
  }

  std::string directory_;
  std::string path_;
};

TEST_F(LockOnDisk, IsReadableForColleaguesAsTheUmaskAllows) {
  const mode_t before = umask(027);
  save_lock(path_, sample());
  EXPECT_EQ(status().st_mode & 0777U, 0640U);
  std::filesystem::remove(path_);
  umask(022);
  save_lock(path_, sample());
  EXPECT_EQ(status().st_mode & 0777U, 0644U);
  umask(before);
  EXPECT_EQ(load_lock(path_), sample());
  EXPECT_EQ(read_text(path_), serialize_lock(sample()));
}

TEST_F(LockOnDisk, EqualContentIsNotWrittenAgain) {
  save_lock(path_, sample());
  const struct stat first = status();
  save_lock(path_, sample());
  EXPECT_EQ(status().st_ino, first.st_ino);
  LockFile changed = sample();
  changed.hardware_gpu = true;
  seal_identity(changed);
  save_lock(path_, changed);
  EXPECT_EQ(load_lock(path_), changed);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_), {}), 1);
}

TEST_F(LockOnDisk, InvalidLocksAreNeverWritten) {
  LockFile unsealed = sample();
  unsealed.hardware_gpu = true;
  LockFile unsorted = sample();
  std::swap(unsorted.resolved_packages[0], unsorted.resolved_packages[1]);
  LockFile hashless = sample();
  hashless.resolved_packages[0].sha256.clear();
  seal_identity(hashless);
  LockFile binary = sample();
  binary.base.url = "http://\xff";
  for (const LockFile& lock : {unsealed, unsorted, hashless, binary}) {
    try {
      save_lock(path_, lock);
      ADD_FAILURE() << "was written";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::Internal) << error.what();
    }
  }
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(LockOnDisk, AbsenceIsAnAnswer) {
  EXPECT_FALSE(load_lock(path_).has_value());
  EXPECT_FALSE(load_lock(directory_ + "/none/karapace.lock").has_value());
  EXPECT_THROW(static_cast<void>(load_lock(directory_)), ManifestError);
}

}  // namespace
}  // namespace karapace
