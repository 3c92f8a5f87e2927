// SPDX-License-Identifier: Apache-2.0
// bundle export and import: to a machine without network, and what is refused there.
#include <fmt/format.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "karapace/base/digest.hpp"
#include "offline_support.hpp"

namespace karapace::test {
namespace {

namespace fs = std::filesystem;

class CliBundle : public OfflineTest {
 protected:
  /// A bundle of write_lock_of_packages() is made; afterwards everything is another machine.
  void make_bundle() {
    write_lock_of_packages();
    karapace_ok({"fetch", "--locked"});
    karapace_ok({"bundle", "export", "all.bundle"});
    move_to_another_machine();
  }
  void move_to_another_machine() {
    server_.reset();
    environment_.back().second = store() + "2";
  }
  [[nodiscard]] std::string second_store() const { return store() + "2"; }
  [[nodiscard]] std::vector<std::string> arrived() const {
    std::vector<std::string> names;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(second_store() + "/store/packages", none))
      names.push_back(entry.path().filename().string());
    // What a killed process had not named yet; gc removes it.
    std::erase_if(names, [](const std::string& name) { return name.starts_with(".tmp-"); });
    std::ranges::sort(names);
    return names;
  }
  /// The bundle with `edit` applied must be refused, and must leave nothing behind.
  void expect_refused(const std::string& content, const std::string& why) {
    write("bad.bundle", content);
    const Json error = karapace_json({"bundle", "import", "bad.bundle"}, 2).at("error");
    EXPECT_EQ(error.at("code"), "invalid_input") << why;
    EXPECT_TRUE(arrived().empty()) << why;
    EXPECT_TRUE(!fs::exists(second_store()) || fs::is_empty(second_store() + "/store/staging")) << why;
    EXPECT_TRUE(!fs::exists(second_store()) || fs::is_empty(second_store() + "/store/downloads")) << why;
  }
  struct Parts {
    std::string magic;
    std::string header;
    std::string files;
  };
  static Parts split(const std::string& bundle) {
    const std::size_t first = bundle.find('\n') + 1;
    const std::size_t second = bundle.find('\n', first) + 1;
    const std::size_t length = std::stoul(bundle.substr(first));
    return {bundle.substr(0, first), bundle.substr(second, length), bundle.substr(second + length)};
  }
  /// With length and digest of the header made right, as somebody would do who means harm.
  static std::string join(const Parts& parts) {
    return fmt::format("{}{} {}\n{}{}", parts.magic, parts.header.size(), hash_bytes(parts.header).hex(),
                       parts.header, parts.files);
  }
  static std::string with_header(const std::string& bundle, const std::function<void(Json&)>& edit) {
    Parts parts = split(bundle);
    Json header = Json::parse(parts.header);
    edit(header);
    parts.header = canonical_json(header);
    return join(parts);
  }
};

TEST_F(CliBundle, CarriesEverythingToAMachineWithoutNetwork) {
  write_base_manifest();
  karapace_ok({"fetch"});
  const Json exported = karapace_json({"bundle", "export", "base.bundle"});
  EXPECT_EQ(exported.at("files"), 1);
  EXPECT_EQ(exported.at("bytes"), base_.size());
  move_to_another_machine();
  fs::create_directory(project() + "/there");
  const Json imported = karapace_json({"bundle", "import", "base.bundle", "--into", "there"});
  EXPECT_EQ(imported.at("added_files"), 1);
  EXPECT_EQ(read("there/karapace.toml"), read("karapace.toml"));
  EXPECT_EQ(read("there/karapace.lock"), read("karapace.lock"));
  const RunResult built =
      karapace_without_network({"build", "there/karapace.toml", "--locked", "--offline", "--json"});
  ASSERT_EQ(built.status, 0) << built.err;
  EXPECT_EQ(parse_json(built.out, "build").at("env_id"), exported.at("env_id"));
  EXPECT_EQ(karapace_json({"verify-store"}).at("failed"), 0);
}

TEST_F(CliBundle, ALocalArchiveTravelsToo) {
  write("base.tar", base_);
  write("karapace.toml", "manifest_version = 1\n[base]\nimage = \"rootfs:./base.tar\"\n");
  karapace_ok({"fetch"});
  karapace_ok({"bundle", "export", "local.bundle"});
  move_to_another_machine();
  fs::create_directory(project() + "/there");
  karapace_ok({"bundle", "import", "local.bundle", "--into", "there"});
  ASSERT_FALSE(exists("there/base.tar"));
  karapace_ok({"build", "there/karapace.toml", "--locked", "--offline"});
  // Where nothing has its bytes, it is missing as ever.
  environment_.back().second = store() + "3";
  const Json error = karapace_json({"build", "there/karapace.toml", "--locked", "--offline"}, 2).at("error");
  EXPECT_NE(error.at("message").get<std::string>().find("base.tar does not exist"), std::string::npos);
}

TEST_F(CliBundle, IsTheSameForTheSameLockAndReplacesNobodysFile) {
  write_lock_of_packages();
  karapace_ok({"fetch", "--locked"});
  karapace_ok({"bundle", "export", "one.bundle"});
  karapace_ok({"bundle", "export", "two.bundle", "karapace.toml"});
  EXPECT_EQ(read("one.bundle"), read("two.bundle"));
  EXPECT_EQ(karapace_json({"bundle", "export", "one.bundle"}, 1).at("error").at("code"), "already_exists");
  const Json nowhere = karapace_json({"bundle", "import", "one.bundle", "--into", "nowhere"}, 1).at("error");
  EXPECT_NE(nowhere.at("fix").get<std::string>().find("make that directory"), std::string::npos);
}

TEST_F(CliBundle, WithoutAllFilesThereIsNone) {
  write_lock_of_packages();
  const Json error = karapace_json({"bundle", "export", "all.bundle"}, 2).at("error");
  EXPECT_EQ(error.at("missing").size(), 4U) << error;
  EXPECT_NE(error.at("fix").get<std::string>().find("karapace fetch --locked"), std::string::npos);
  EXPECT_FALSE(exists("all.bundle"));
  karapace_ok({"fetch", "--locked"});
  // A file that the disk spoiled does not get into one either.
  const std::string spoiled = store() + "/store/packages/" + sha256_of("the package beta\n");
  fs::permissions(spoiled, fs::perms::owner_write, fs::perm_options::add);
  std::fstream(spoiled, std::ios::in | std::ios::out | std::ios::binary) << "THE";
  const Json damaged = karapace_json({"bundle", "export", "all.bundle"}, 3).at("error");
  EXPECT_NE(damaged.at("message").get<std::string>().find("beta 1.0"), std::string::npos);
  EXPECT_FALSE(exists("all.bundle"));
}

TEST_F(CliBundle, ASecondImportAddsNothing) {
  make_bundle();
  EXPECT_EQ(karapace_json({"bundle", "import", "all.bundle"}).at("added_files"), 4);
  EXPECT_EQ(arrived(), hashes_);
  EXPECT_EQ(karapace_json({"bundle", "import", "all.bundle"}).at("added_files"), 0);
  EXPECT_EQ(arrived(), hashes_);
  EXPECT_EQ(karapace_json({"verify-store"}).at("failed"), 0);
}

TEST_F(CliBundle, TruncatedAndLengthenedOnesAreRefused) {
  make_bundle();
  const std::string good = read("all.bundle");
  expect_refused(good + "x", "lengthened");
  expect_refused("", "empty");
  // Everywhere in the header's first lines, at its end, and within each file.
  for (const std::size_t size : {std::size_t{5}, std::size_t{18}, std::size_t{19}, std::size_t{24},
                                 good.size() / 3, good.size() / 2, good.size() - 30, good.size() - 1}) {
    expect_refused(good.substr(0, size), fmt::format("cut to {} bytes", size));
  }
}

TEST_F(CliBundle, WrongBytesAreRefusedByNameAndNothingOfThemArrives) {
  make_bundle();
  const std::string good = read("all.bundle");
  for (const std::string name : {"alpha", "beta", "gamma"}) {
    std::string bad = good;
    const std::size_t at = bad.find("the package " + name);
    ASSERT_NE(at, std::string::npos);
    bad[at] = 'T';
    write("bad.bundle", bad);
    const Json error = karapace_json({"bundle", "import", "bad.bundle"}, 2).at("error");
    EXPECT_NE(error.at("message").get<std::string>().find(name + " 1.0"), std::string::npos) << error;
    EXPECT_TRUE(arrived().empty()) << "not even those that were right";
  }
  for (std::size_t at = 0; at < good.size(); at += 1 + good.size() / 60) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    expect_refused(bad, fmt::format("byte {} changed", at));
  }
}

TEST_F(CliBundle, PathTricksExtraFilesAndForeignHeadersAreRefused) {
  make_bundle();
  const std::string good = read("all.bundle");
  for (const std::string name : {"../karapace.toml", "/tmp/karapace.toml", "a/b.toml", ".toml", ".x.toml",
                                 "x.txt", "..toml/../x.toml", "a\nb.toml", ""}) {
    expect_refused(with_header(good, [&](Json& header) { header["name"] = name; }), name);
  }
  expect_refused(with_header(good, [](Json& header) { header["files"][0]["sha256"] = "../../etc/passwd"; }),
                 "a path for a hash");
  expect_refused(with_header(good, [](Json& header) { header["files"].push_back(header["files"][0]); }),
                 "twice");
  expect_refused(with_header(good, [](Json& header) { header["files"].erase(0); }), "one is missing");
  expect_refused(with_header(good, [](Json& header) { header["files"][1]["size"] = 1; }), "another size");
  expect_refused(with_header(good, [](Json& header) { header["files"][1]["size"] = 1ULL << 52U; }), "huge");
  for (const std::string size : {"18446744073709551615", "-1", "1.5", "\"17\""}) {
    Parts bad = split(good);
    const std::size_t at = bad.header.find("\"size\":") + 7;
    bad.header.replace(at, bad.header.find('}', at) - at, size);
    expect_refused(join(bad), "size " + size);
  }
  expect_refused(with_header(good, [](Json& header) { header["more"] = 1; }), "an unknown key");
  expect_refused(with_header(good, [](Json& header) { header.erase("lock"); }), "no lock");
  expect_refused(with_header(good,
                             [](Json& header) {
                               std::string lock = header["lock"];
                               lock.replace(lock.find("1.0"), 3, "1.1");
                               header["lock"] = lock;
                             }),
                 "an edited lock");
  expect_refused(with_header(good,
                             [](Json& header) {
                               std::string manifest = header["manifest"];
                               manifest.replace(manifest.find("alpha"), 5, "omega");
                               header["manifest"] = manifest;
                             }),
                 "another manifest");
}

TEST_F(CliBundle, AnotherLockThanTheExpectedOneIsRefused) {
  make_bundle();
  karapace_ok({"bundle", "import", "all.bundle", "--lock", "karapace.lock"});
  fs::remove(project() + "/karapace.lock");
  build_mock("other", "'git'");
  const Json error =
      karapace_json({"bundle", "import", "all.bundle", "--lock", "karapace.lock"}, 2).at("error");
  EXPECT_NE(error.at("message").get<std::string>().find("another lock"), std::string::npos) << error;
  // Neither does an import write over what somebody has.
  EXPECT_EQ(karapace_json({"bundle", "import", "all.bundle", "--into", "."}, 1).at("error").at("code"),
            "already_exists");
}

TEST_F(CliBundle, ATrustedLockOpensNobodysHome) {
  make_bundle();
  fs::create_directory(project() + "/there");
  write("bad.bundle", with_header(read("all.bundle"), [](Json& header) {
          header["manifest"] = header["manifest"].get<std::string>() + "[runtime]\nhome = \"shared\"\n";
        }));
  const std::vector<std::string> words = {"bundle",        "import", "bad.bundle", "--lock",
                                          "karapace.lock", "--into", "there"};
  const Json error = karapace_json(words, 2).at("error");
  EXPECT_NE(error.at("message").get<std::string>().find("runtime.home"), std::string::npos) << error;
  EXPECT_TRUE(fs::is_empty(project() + "/there"));
  EXPECT_TRUE(arrived().empty());
  // A manifest that is there already was read by its owner, or should have been.
  write("there/karapace.toml", read("karapace.toml") + "[runtime]\nhome = \"shared\"\n");
  karapace_ok(words);
  EXPECT_EQ(read("there/karapace.lock"), read("karapace.lock"));
}

TEST_F(CliBundle, DirectoriesAndDevicesAreNoBundles) {
  EXPECT_EQ(karapace({"bundle", "import", "."}).status, 2);
  EXPECT_EQ(karapace({"bundle", "import", "/dev/zero"}).status, 2);
  EXPECT_EQ(karapace({"bundle", "carry", "x"}).status, 2);
  EXPECT_EQ(karapace({"bundle", "import", "nothing"}).status, 1);
}

TEST_F(CliBundle, KilledAtAnyMomentAnImportLeavesAValidStore) {
  make_bundle();
  std::size_t complete = 0;
  // The fault hook ends the process at its n-th change of the disk; when it no longer dies, all steps were
  // seen.
  for (int step = 1; step < 400; ++step) {
    environment_.emplace_back("KARAPACE_FAULT", fmt::format("{}:kill", step));
    const RunResult killed = karapace({"bundle", "import", "all.bundle"});
    environment_.pop_back();
    if (killed.status == 0) {
      complete = static_cast<std::size_t>(step);
      break;
    }
    ASSERT_EQ(karapace({"list"}).status, 0);
    const RunResult verified = karapace({"--json", "verify-store"});
    const Json report = parse_json(verified.out, "standard output");
    if (verified.status == 1) {
      // Killed before there was a store.
      ASSERT_EQ(report.at("error").at("code"), "not_found") << "step " << step;
    } else {
      ASSERT_EQ(report.at("failed"), 0) << "step " << step;
    }
    for (const std::string& name : arrived()) ASSERT_TRUE(std::ranges::binary_search(hashes_, name)) << name;
    if (step % 5 != 0) continue;
    fs::remove_all(second_store());
  }
  EXPECT_GT(complete, 5U);
  karapace_ok({"bundle", "import", "all.bundle"});
  EXPECT_EQ(arrived(), hashes_);
  EXPECT_TRUE(fs::is_empty(second_store() + "/store/staging"));
  EXPECT_TRUE(fs::is_empty(second_store() + "/store/wal"));
}

}  // namespace
}  // namespace karapace::test
