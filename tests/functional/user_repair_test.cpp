// SPDX-License-Identifier: Apache-2.0
// Healing and measuring where it takes more than the store: files of subordinate ids, and downloads. As an
// ordinary user.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "cli_support.hpp"
#include "http_test_server.hpp"
#include "karapace/base/digest.hpp"

namespace karapace::test {
namespace {

namespace fs = std::filesystem;

std::string content_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class UserRepair : public CliTest {
 protected:
  void SetUp() override {
    const fs::path tree = fs::path(project()) / "tree";
    for (const char* directory : {"etc", "usr/bin", "root/closed"}) fs::create_directories(tree / directory);
    std::ofstream(tree / "etc/passwd") << "root:x:0:0:root:/root:/bin/sh\n";
    std::ofstream(tree / "usr/bin/tool") << std::string(20000, 't');
    fs::create_hard_link(tree / "usr/bin/tool", tree / "usr/bin/same-tool");
    std::ofstream(tree / "root/closed/secret") << kSecret;
    fs::permissions(tree / "root/closed/secret", fs::perms(0600));
    fs::permissions(tree / "root/closed", fs::perms(0700));
    fs::permissions(tree / "root", fs::perms(0700));
  }
  void TearDown() override {
    // Nobody else can remove what belongs to subordinate ids.
    static_cast<void>(karapace({"destroy", "dev"}));
    static_cast<void>(karapace({"gc"}));
  }

  void write_manifest(const std::string& image, const std::string& ownership) {
    write("karapace.toml", fmt::format("manifest_version = 1\n[base]\nimage = \"{}\"\n[system]\nownership = "
                                       "\"{}\"\n[runtime]\nbackend = \"namespace\"\n",
                                       image, ownership));
  }
  [[nodiscard]] fs::path in_store(const std::string& path) const { return fs::path(store()) / path; }
  std::string base_layer() { return karapace_json({"inspect", "dev"}).at("base_layer").get<std::string>(); }
  /// True if --repair healed it in a way that contains `how`, and nothing is left.
  void expect_healed(const std::string& hash, const std::string& how) {
    EXPECT_EQ(karapace({"verify-store"}).status, 3);
    const Json report = karapace_json({"verify-store", "--repair"});
    EXPECT_TRUE(std::ranges::any_of(report.at("repaired"), [&](const Json& item) {
      return item.at("hash") == hash && item.at("how").get<std::string>().find(how) != std::string::npos;
    })) << report.dump(2);
    EXPECT_EQ(karapace_json({"verify-store"}).at("failed"), 0);
  }
  /// The byte at the end, in place: a disk changes nothing else.
  void damage(const fs::path& path) {
    struct stat before {};
    ASSERT_EQ(::stat(path.c_str(), &before), 0);
    ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-1, std::ios::end);
    file.put('\x7f');
    file.close();
    ASSERT_EQ(::chmod(path.c_str(), before.st_mode & 07777), 0);
    const timespec times[] = {before.st_atim, before.st_mtim};
    ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  }

  static constexpr const char* kSecret = "of root alone";
};

class UserMapped : public UserRepair {
 protected:
  void SetUp() override {
    UserRepair::SetUp();
    write_manifest("rootfs:./tree", "mapped");
    const RunResult built = karapace({"build", "--name", "dev"});
    if (built.status == 0) return;
    const bool must_run = std::getenv("KARAPACE_TESTS_MUST_RUN") != nullptr;
    ASSERT_FALSE(must_run) << built.err;
    GTEST_SKIP() << "no subordinate ids here: " << built.err;
  }
};

TEST_F(UserMapped, LayersAreHealedFromTheirTrees) {
  const std::string layer = base_layer();
  const fs::path record = in_store("store/layers/" + layer);
  const std::string good_record = content_of(record);
  const Json parsed = parse_json(good_record, "the record");
  const auto times = parsed.at("object_refs").at(1).get<std::string>();

  fs::remove(in_store("store/objects/" + layer));
  expect_healed(layer, "from the tree of layer");
  fs::remove(in_store("store/objects/" + times));
  expect_healed(times, "from the tree of layer");
  std::ofstream(record) << "{}";
  expect_healed(layer, "from its tree");
  EXPECT_EQ(content_of(record), good_record);

  const std::string secret = hash_bytes(kSecret).hex();
  ASSERT_TRUE(fs::exists(in_store("store/objects/" + secret)));
  fs::remove(in_store("store/objects/" + secret));
  expect_healed(secret, "from root/closed/secret of layer");
}

TEST_F(UserMapped, WithTooFewDescriptorsTheCauseIsToldAndNothingPassesUnseen) {
  const RunResult result =
      run_program("/bin/bash", {"-c", "ulimit -n 24; " + karapace_binary() + " verify-store"});
  EXPECT_EQ(result.status, 1) << result.out;
  EXPECT_NE((result.out + result.err).find("ulimit -n"), std::string::npos) << result.out << result.err;
}

TEST_F(UserMapped, DiskUseIsWhatDestroyingAndCollectingGiveBack) {
  const Json record = karapace_json({"inspect", "dev"});
  ASSERT_TRUE(record.at("exclusive_bytes").is_number()) << record.dump(2);
  EXPECT_EQ(record.at("shared_bytes"), 0);
  const auto id = record.at("env_id").get<std::string>();
  const std::string text =
      run_program("/usr/bin/du",
                  {"-c", "-s", "--block-size=1", in_store("env/" + id).string(),
                   in_store("store/metadata/" + id).string(), in_store("store/names/dev").string()})
          .out;
  const std::uint64_t of_its_own = std::stoull(text.substr(text.rfind('\n', text.size() - 2) + 1));
  karapace_ok({"destroy", "dev"});
  const auto collected = karapace_json({"gc"}).at("bytes").get<std::uint64_t>();
  EXPECT_EQ(record.at("exclusive_bytes").get<std::uint64_t>(), of_its_own + collected);
}

using UserFlat = UserRepair;

TEST_F(UserFlat, AFileThatItsOwnerMayNotReadIsLookedAtFromInside) {
  write_manifest("rootfs:./tree", "flat");
  karapace_ok({"build", "--name", "dev"});
  const auto id = karapace_json({"inspect", "dev"}).at("env_id").get<std::string>();
  const fs::path upper = in_store("env/" + id + "/upper");
  std::ofstream(upper / "closed") << "not for me";
  fs::permissions(upper / "closed", fs::perms::none);
  const std::string layer = karapace_json({"commit", "dev"}).at("snapshot").at("hash").get<std::string>();
  const Json report = karapace_json({"verify-store"});
  EXPECT_EQ(report.at("unreadable"), Json::array());
  EXPECT_EQ(report.at("failed"), 0);

  damage(in_store("trees/" + layer + "/closed"));
  const RunResult found = karapace({"verify-store"});
  EXPECT_EQ(found.status, 3);
  EXPECT_NE(found.out.find("closed"), std::string::npos) << found.out;
}

class UserDownload : public UserRepair {
 protected:
  void SetUp() override {
    UserRepair::SetUp();
    ASSERT_EQ(run_program("/usr/bin/tar", {"-C", "tree", "-cf", "base.tar", "."}).status, 0);
    sha256_ = run_program("/usr/bin/sha256sum", {"base.tar"}).out.substr(0, 64);
    server_.add("/base.tar", read("base.tar"));
    write_manifest(server_.url("/base.tar") + " sha256=" + sha256_, "flat");
    karapace_ok({"build", "--name", "dev"});
  }
  [[nodiscard]] fs::path artefact() const { return in_store("store/packages/" + sha256_); }

  HttpTestServer server_;
  std::string sha256_;
};

TEST_F(UserDownload, ADamagedArtefactIsFetchedAgain) {
  const std::string good = content_of(artefact());
  damage(artefact());
  const Json report = karapace_json({"verify-store"}, 3);
  ASSERT_EQ(report.at("failures").size(), 1U) << report.dump(2);
  EXPECT_EQ(report.at("failures").at(0).at("affects").size(), 1U) << "its lock names it";
  const std::size_t before = server_.request_count("/base.tar");
  expect_healed(report.at("failures").at(0).at("hash").get<std::string>(), "fetched again");
  EXPECT_GT(server_.request_count("/base.tar"), before);
  EXPECT_EQ(content_of(artefact()), good);
}

TEST_F(UserDownload, WhatCannotBeFetchedStaysNamedAndAsItIs) {
  damage(artefact());
  const std::string damaged = content_of(artefact());
  server_.set_fault("/base.tar", {.kind = HttpFault::Kind::WrongBytes});
  EXPECT_EQ(karapace_json({"verify-store", "--repair"}, 3).at("failures").size(), 1U);
  EXPECT_EQ(content_of(artefact()), damaged);
  karapace_ok({"inspect", "dev"});
}

TEST_F(UserDownload, AFileThatIsDamagedInTreeAndObjectIsBuiltAgainFromTheArtefact) {
  const std::string passwd = content_of(fs::path(project()) / "tree/etc/passwd");
  const std::string object = hash_bytes(passwd).hex();
  const fs::path in_tree = in_store("trees/" + base_layer() + "/etc/passwd");
  ASSERT_EQ(fs::hard_link_count(in_tree), 2U) << "one inode";
  damage(in_tree);
  ASSERT_NE(content_of(in_store("store/objects/" + object)), passwd);
  expect_healed(object, "by building layer");
  EXPECT_EQ(content_of(in_tree), passwd);
  EXPECT_EQ(content_of(in_store("store/objects/" + object)), passwd);

  damage(in_tree);
  damage(artefact());
  expect_healed(object, "by building layer");
  EXPECT_EQ(content_of(in_tree), passwd);
}

}  // namespace
}  // namespace karapace::test
