// SPDX-License-Identifier: Apache-2.0
// The promise "same lock, same bytes" on a real Debian: the same layers for everybody, whoever builds and
// however.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "karapace/base/clock.hpp"
#include "karapace/base/subprocess.hpp"
#include "karapace/schema/lock_file.hpp"

namespace karapace::runtime {
namespace {

namespace fs = std::filesystem;

struct Person {
  std::string name;  // empty: whoever runs the test
  std::string umask = "022";
  std::string time_zone = "UTC";
};

struct Outcome {
  int status = 0;
  std::string layers;  // "base <digest>\ndependencies <digest>\n"
  std::string text;    // stderr
};

class Layers : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    // Not below a private /tmp: other users must get through to the cache.
    root_ = fs::path(::testing::TempDir()) / ("karapace-layers-" + random_hex(4));
    fs::create_directories(root_ / "cache");
    fs::permissions(root_, fs::perms(0755));
    fs::permissions(root_ / "cache", fs::perms(01777));
    if (::geteuid() == 0) {
      make_user("karapace-test-a", true);
      make_user("karapace-test-b", false);
    }
    // One store with a lock that most cases start from.
    first_home_ = make_home(somebody(), debian(kPackages));
    first_ = build(somebody(), first_home_);
  }
  static void TearDownTestSuite() {
    // Trees of mapped stores belong to subordinate ids; as root nothing is in the way, as a user the worker
    // helps.
    static_cast<void>(run(tool("rm", {"-rf", root_.string()})));
  }

  static Command tool(const std::string& program, std::vector<std::string> arguments) {
    return {.program = program,
            .arguments = std::move(arguments),
            .environment = host_tool_environment(),
            .fds = {},
            .working_directory = {}};
  }

  static void make_user(const std::string& name, bool subordinate_ids) {
    static_cast<void>(run(tool("useradd", {"--create-home", name})));
    if (!subordinate_ids) {
      static_cast<void>(run(tool("sed", {"-i", "/^" + name + ":/d", "/etc/subuid", "/etc/subgid"})));
    }
  }

  /// A directory of the person's own with a manifest.
  static fs::path make_home(const Person& person, const std::string& manifest) {
    fs::path home = root_ / ("home of " + random_hex(4));
    fs::create_directories(home);
    std::ofstream(home / "karapace.toml") << manifest;
    if (!person.name.empty()) run_checked(tool("chown", {"-R", person.name, home.string()}));
    return home;
  }

  static Outcome build(const Person& person, const fs::path& home) {
    std::vector<std::string> arguments;
    if (!person.name.empty()) arguments = {"--reuid", person.name, "--regid", person.name, "--clear-groups"};
    // The host's settings that must not matter are wrong on purpose.
    for (const std::string& word :
         {std::string("env"), std::string("-i"), std::string("PATH=/usr/bin:/bin"), "TZ=" + person.time_zone,
          "HOME=" + home.string(), std::string("LANG=xx_YY.UTF-8"), std::string("APT_CONFIG=/nonexistent"),
          std::string("python3"), std::string("-c"),
          std::string("import os,sys; os.umask(int(sys.argv[1],8)); os.execv(sys.argv[2],sys.argv[2:])"),
          person.umask, std::string(KARAPACE_BIN_DIR "/../tests/build_layers"), (home / "store").string(),
          (home / "karapace.toml").string(), (home / "karapace.lock").string(), (root_ / "cache").string()}) {
      arguments.push_back(word);
    }
    const RunResult result = run(tool("setpriv", arguments));
    return {result.status, result.out, result.err};
  }

  static bool is_root() { return ::geteuid() == 0; }
  static Person somebody() { return {.name = is_root() ? "karapace-test-a" : ""}; }

  static std::string debian(const std::string& packages, const std::string& ownership = "flat") {
    return "manifest_version = 1\n[base]\nimage = \"debian/12\"\n[system]\nownership = \"" + ownership +
           "\"\npackages = [" + packages + "]\n";
  }

  static constexpr const char* kPackages = "\"make\", \"ca-certificates\"";
  static inline fs::path root_;
  static inline fs::path first_home_;
  static inline Outcome first_;
};

TEST_F(Layers, AreTheSameForEveryUserUmaskTimeZoneAndForRoot) {
  ASSERT_EQ(first_.status, 0) << first_.text;
  ASSERT_TRUE(first_.layers.contains("dependencies ")) << first_.layers;
  std::vector<Person> others = {{.name = "", .umask = "077", .time_zone = "Asia/Tokyo"}};
  if (is_root()) {
    others = {{.name = "karapace-test-b", .umask = "077", .time_zone = "Asia/Tokyo"},
              {.name = "", .umask = "000", .time_zone = "America/New_York"}};
  }
  for (const Person& other : others) {
    const fs::path elsewhere = make_home(other, debian(kPackages));
    fs::copy_file(first_home_ / "karapace.lock", elsewhere / "karapace.lock");
    if (!other.name.empty()) run_checked(tool("chown", {other.name, (elsewhere / "karapace.lock").string()}));
    const Outcome again = build(other, elsewhere);
    ASSERT_EQ(again.status, 0) << again.text;
    EXPECT_EQ(again.layers, first_.layers) << other.name;
  }
}

TEST_F(Layers, AddingAPackageKeepsEveryLockedVersion) {
  ASSERT_EQ(first_.status, 0) << first_.text;
  const LockFile before = load_lock(first_home_ / "karapace.lock").value();
  std::ofstream(first_home_ / "karapace.toml") << debian(std::string(kPackages) + ", \"tree\"");
  const Outcome more = build(somebody(), first_home_);
  ASSERT_EQ(more.status, 0) << more.text;
  const LockFile after = load_lock(first_home_ / "karapace.lock").value();
  EXPECT_EQ(after.resolved_packages.size(), before.resolved_packages.size() + 1);
  for (const LockedPackage& package : before.resolved_packages) {
    EXPECT_NE(std::ranges::find(after.resolved_packages, package), after.resolved_packages.end())
        << package.name;
  }
}

TEST_F(Layers, OfMappedOwnershipAreTheSameForUserAndRoot) {
  const Person first = somebody();
  const std::string manifest = debian("\"make\"", "mapped");
  const fs::path home = make_home(first, manifest);
  const Outcome built = build(first, home);
  ASSERT_EQ(built.status, 0) << built.text;
  const fs::path elsewhere = make_home({}, manifest);
  fs::copy_file(home / "karapace.lock", elsewhere / "karapace.lock");
  const Outcome again = build({.name = "", .umask = "077", .time_zone = "Asia/Tokyo"}, elsewhere);
  ASSERT_EQ(again.status, 0) << again.text;
  EXPECT_EQ(again.layers, built.layers);
}

TEST_F(Layers, UnknownPackagesAreAllNamedWithTheNearestNames) {
  ASSERT_EQ(first_.status, 0) << first_.text;
  std::ofstream(first_home_ / "karapace.toml") << debian("\"gitt\", \"make\", \"no-such-package-at-all\"");
  const Outcome built = build(somebody(), first_home_);
  EXPECT_NE(built.status, 0);
  EXPECT_TRUE(built.text.contains("has no package gitt, no-such-package-at-all")) << built.text;
  EXPECT_TRUE(built.text.contains("'git'")) << built.text;
}

TEST_F(Layers, ATarballAndTheDirectoryItWasMadeFromAreOneImage) {
  const Person person = somebody();
  const auto manifest = [](const std::string& image) {
    return "manifest_version = 1\n[base]\nimage = \"rootfs:" + image + "\"\n";
  };
  const fs::path home = make_home(person, manifest("./tree"));
  fs::create_directories(home / "tree/usr/bin");
  fs::create_directories(home / "tree/dev");
  std::ofstream(home / "tree/usr/bin/tool") << "#!/bin/sh\n";
  fs::permissions(home / "tree/usr/bin/tool", fs::perms(0755));
  fs::create_hard_link(home / "tree/usr/bin/tool", home / "tree/usr/bin/again");
  fs::create_symlink("usr/bin", home / "tree/bin");
  run_checked(tool("tar", {"-C", (home / "tree").string(), "-czf", (home / "image.tar.gz").string(), "."}));
  if (!person.name.empty()) run_checked(tool("chown", {"-R", person.name, home.string()}));
  const Outcome directory = build(person, home);
  ASSERT_EQ(directory.status, 0) << directory.text;

  // The lock holds the directory to what it was, where the layer has to be built again.
  fs::remove_all(home / "store");
  std::ofstream(home / "tree/usr/bin/tool", std::ios::app) << "echo changed\n";
  const Outcome changed = build(person, home);
  EXPECT_NE(changed.status, 0);
  EXPECT_TRUE(changed.text.contains("is not what the lock says")) << changed.text;

  fs::remove(home / "karapace.lock");
  std::ofstream(home / "karapace.toml") << manifest("./image.tar.gz");
  const Outcome tarball = build(person, home);
  ASSERT_EQ(tarball.status, 0) << tarball.text;
  EXPECT_EQ(tarball.layers, directory.layers);
  std::ofstream(home / "image.tar.gz", std::ios::app) << "more";
  fs::remove_all(home / "store");
  const Outcome other = build(person, home);
  EXPECT_NE(other.status, 0);
  EXPECT_TRUE(other.text.contains("not the one in the lock")) << other.text;
}

}  // namespace
}  // namespace karapace::runtime
