// SPDX-License-Identifier: Apache-2.0
// The parts of a session that need no namespaces: variables, users, layers, mounts.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "layered_root.hpp"
#include "mount_policy.hpp"
#include "policy_root.hpp"
#include "system_call_filter.hpp"
#include "temporary_directory.hpp"

namespace karapace::runtime {
namespace {

std::string value_of(const std::vector<std::pair<std::string, std::string>>& variables,
                     std::string_view name) {
  for (const auto& [key, value] : variables) {
    if (key == name) return value;
  }
  return "(none)";
}

SessionRequest request_with(std::vector<std::pair<std::string, std::string>> environment) {
  SessionRequest request;
  request.record.env_id = std::string(64, 'a');
  request.record.short_id = std::string(12, 'a');
  request.host_environment = std::move(environment);
  return request;
}

const HostUser kKim{1000, 1000, "kim", "/home/kim", "/bin/zsh"};

/// What a process under the filter finds wrong, as its exit status.
int try_keyrings_under(const std::vector<std::uint8_t>& filter) {
  std::vector<sock_filter> instructions(filter.size() / sizeof(sock_filter));
  std::memcpy(instructions.data(), filter.data(), filter.size());
  sock_fprog program{};
  program.len = static_cast<unsigned short>(instructions.size());
  program.filter = instructions.data();
  const pid_t child = ::fork();
  if (child == 0) {
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) ::_exit(1);
    if (::prctl(PR_SET_SECCOMP, 2 /* SECCOMP_MODE_FILTER */, &program) != 0) ::_exit(2);
    if (::syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 0) != -1 || errno != ENOSYS)
      ::_exit(3);
    if (::syscall(SYS_add_key, "user", "k", "v", 1, KEY_SPEC_USER_KEYRING) != -1 || errno != ENOSYS)
      ::_exit(4);
    if (::syscall(SYS_request_key, "user", "k", nullptr, 0) != -1 || errno != ENOSYS) ::_exit(5);
    ::_exit(0);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return status;
}

TEST(SystemCallFilter, TheKeysOfTheHostsUserCannotBeReached) {
  EXPECT_EQ(try_keyrings_under(make_system_call_filter(EmulateOwnership::No)), 0);
  EXPECT_EQ(try_keyrings_under(make_system_call_filter(EmulateOwnership::Yes)), 0);
}

TEST(SessionEnvironment, SecretsAndUnknownVariablesStayOutside) {
  const auto variables = session_environment(request_with({{"AWS_SECRET_ACCESS_KEY", "s"},
                                                           {"SSH_AUTH_SOCK", "s"},
                                                           {"DOCKER_HOST", "s"},
                                                           {"GPG_AGENT_INFO", "s"},
                                                           {"MY_TOKEN", "s"},
                                                           {"LD_PRELOAD", "s"},
                                                           {"PATH", "/evil"},
                                                           {"HOME", "/evil"},
                                                           {"BASH_FUNC_x%%", "s"}}),
                                             kKim);
  for (const auto& [name, value] : variables) {
    EXPECT_NE(value, "s") << name;
    EXPECT_NE(value, "/evil") << name;
  }
}

TEST(SessionEnvironment, LocaleAndTerminalVariablesCross) {
  const auto variables = session_environment(
      request_with({{"TERM", "foot"}, {"LC_TIME", "de"}, {"TZ", "UTC"}, {"LANG", "de_DE.UTF-8"}}), kKim);
  EXPECT_EQ(value_of(variables, "TERM"), "foot");
  EXPECT_EQ(value_of(variables, "LC_TIME"), "de");
  EXPECT_EQ(value_of(variables, "TZ"), "UTC");
  EXPECT_EQ(value_of(variables, "LANG"), "de_DE.UTF-8");
}

TEST(SessionEnvironment, SaysWhereItIsAndIsSorted) {
  SessionRequest request = request_with({});
  request.record.name = "dev";
  const auto variables = session_environment(request, kKim);
  EXPECT_EQ(value_of(variables, "HOME"), "/home/kim");
  EXPECT_EQ(value_of(variables, "USER"), "kim");
  EXPECT_EQ(value_of(variables, "container"), "karapace");
  EXPECT_EQ(value_of(variables, "KARAPACE_ENV"), "1");
  EXPECT_EQ(value_of(variables, "KARAPACE_ENV_NAME"), "dev");
  EXPECT_EQ(value_of(variables, "LANG"), "C.UTF-8");
  EXPECT_EQ(value_of(variables, "HOSTNAME"), "karapace-aaaaaaaaaaaa");
  EXPECT_TRUE(std::ranges::is_sorted(variables));
}

TEST(SessionEnvironment, OfRootIsThatOfRoot) {
  SessionRequest request = request_with({});
  request.as_root = true;
  const auto variables = session_environment(request, kKim);
  EXPECT_EQ(value_of(variables, "HOME"), "/root");
  EXPECT_EQ(value_of(variables, "USER"), "root");
  EXPECT_EQ(value_of(variables, "XDG_RUNTIME_DIR"), "/run/user/0");
}

TEST(PolicyUsers, YouReplaceWhoeverHasYourNameOrNumber) {
  const std::string base =
      "root:x:0:0::/root:/x\nubuntu:x:1000:1000::/home/ubuntu:/x\nkim:x:7:7::/k:/x\nbin:x:2:2::/:/x\n";
  const std::string text = passwd_with_user(base, kKim, "/home/kim", "/bin/x");
  EXPECT_EQ(text, "root:x:0:0::/root:/x\nbin:x:2:2::/:/x\nkim:x:1000:1000::/home/kim:/bin/x\n");
}

TEST(PolicyUsers, RootOnTheHostIsTheImagesRoot) {
  EXPECT_EQ(passwd_with_user("root:x:0:0::/root:/x\n", {0, 0, "root", "/root", "/y"}, "/root", "/y"),
            "root:x:0:0::/root:/x\n");
}

TEST(PolicyUsers, AGroupOfYourNumberIsKept) {
  EXPECT_EQ(group_with_user("root:x:0:\nusers:x:1000:\n", kKim), "root:x:0:\nusers:x:1000:\n");
  EXPECT_EQ(group_with_user("root:x:0:\nkim:x:55:\n", kKim), "root:x:0:\nkim:x:1000:\n");
}

TEST(PolicyUsers, AHomeCannotAddALineOrAField) {
  const std::string text = passwd_with_user("", kKim, "/home/kim:0\nevil:x:0:0::/:/x", "/bin/x");
  EXPECT_EQ(std::ranges::count(text, '\n'), 1);
  EXPECT_EQ(std::ranges::count(text, ':'), 6);
}

class LayeredRootTest : public testing::Test {
 protected:
  void make_directory(const std::string& path) { ensure_directory_at(directory_.fd(), path, 0755); }
  void make_file(const std::string& path, std::string_view content) {
    make_directory(path.substr(0, path.rfind('/')));
    UniqueFd file = open_beneath(directory_.fd(), path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    write_all(file, content);
  }
  void make_link(const std::string& path, const std::string& target) {
    make_directory(path.substr(0, path.rfind('/')));
    symlink_at(target, directory_.fd(), path);
  }
  void make_opaque(const std::string& path) {
    make_directory(path);
    ASSERT_EQ(::setxattr((directory_.path() + "/" + path).c_str(), "user.overlay.opaque", "y", 1, 0), 0);
  }
  [[nodiscard]] LayeredRoot root() { return LayeredRoot(directory_.fd(), {"top", "middle", "base"}); }

  test::TemporaryDirectory directory_;
};

TEST_F(LayeredRootTest, UpperFilesHideLowerOnesAndDirectoriesMerge) {
  make_file("base/etc/a", "base a");
  make_file("base/etc/b", "base b");
  make_file("top/etc/a", "top a");
  EXPECT_EQ(root().read_file("/etc/a", 100), "top a");
  EXPECT_EQ(root().read_file("/etc/b", 100), "base b");
  EXPECT_EQ(root().list("/etc"), (std::vector<std::string>{"a", "b"}));
}

TEST_F(LayeredRootTest, LinksStayInsideAndAreFollowedThroughAllLayers) {
  make_link("base/var/run", "/run");
  make_directory("middle/run");
  make_link("base/escape", "../../../../etc");
  make_file("base/etc/passwd", "inside");
  EXPECT_EQ(root().find("/var/run/user").path, "/run/user");
  EXPECT_TRUE(root().find("/var/run").exists);
  EXPECT_EQ(root().read_file("/escape/passwd", 100), "inside");
}

TEST_F(LayeredRootTest, AnOpaqueDirectoryHidesWhatIsBelow) {
  make_file("base/srv/old", "x");
  make_opaque("top/srv");
  make_file("base/opt/old", "x");
  make_opaque("middle/opt");
  const auto srv = root().find("/srv/old");
  EXPECT_FALSE(srv.exists);
  EXPECT_TRUE(srv.hidden_by_top);
  const auto opt = root().find("/opt/old");
  EXPECT_FALSE(opt.exists);
  EXPECT_FALSE(opt.hidden_by_top);
  EXPECT_TRUE(root().list("/opt").empty());
}

TEST_F(LayeredRootTest, AWhiteoutHidesWhatIsBelow) {
  make_directory("base/home");
  make_directory("top");
  const std::string whiteout = directory_.path() + "/top/home";
  // Only root, or somebody in a user namespace, may make device nodes on old kernels; this one is allowed to
  // all.
  ASSERT_EQ(::mknod(whiteout.c_str(), S_IFCHR, 0), 0) << "a whiteout is a character device 0:0";
  const auto home = root().find("/home/kim");
  EXPECT_FALSE(home.exists);
  EXPECT_TRUE(home.hidden_by_top);
  EXPECT_TRUE(root().list("/").empty());
}

TEST_F(LayeredRootTest, AFileOnTheWayIsNoDirectory) {
  make_file("base/data", "x");
  EXPECT_FALSE(root().find("/data/inner").exists);
  EXPECT_TRUE(root().find("/data/inner").hidden_by_top);
  EXPECT_EQ(root().read_file("/data", 10), "x");
  EXPECT_FALSE(root().read_file("/", 10));
}

TEST_F(LayeredRootTest, ALoopOfLinksIsAnError) {
  make_link("base/a", "b");
  make_link("base/b", "a");
  EXPECT_THROW(static_cast<void>(root().find("/a")), Error);
}

TEST_F(LayeredRootTest, OnlyRegularFilesAreRead) {
  make_directory("base/etc");
  ASSERT_EQ(::mkfifo((directory_.path() + "/base/etc/passwd").c_str(), 0600), 0);
  EXPECT_FALSE(root().read_file("/etc/passwd", 100));
}

TEST(IsWithin, ComparesWholeComponents) {
  EXPECT_TRUE(is_within("/home", "/home"));
  EXPECT_TRUE(is_within("/home/x", "/home"));
  EXPECT_FALSE(is_within("/homeX", "/home"));
  EXPECT_FALSE(is_within("/hom", "/home"));
  EXPECT_TRUE(is_within("/anything", "/"));
}

class MountPolicyTest : public testing::Test {
 protected:
  MountPolicyTest() {
    ensure_directory_at(directory_.fd(), "project/src");
    ensure_directory_at(directory_.fd(), "store/trees");
  }
  [[nodiscard]] std::string project() const { return directory_.path() + "/project"; }
  [[nodiscard]] std::string store() const { return directory_.path() + "/store"; }
  ErrorCode refusal(const std::string& host_path, const std::string& container_path = "/work") {
    try {
      static_cast<void>(allow(host_path, container_path));
    } catch (const Error& error) {
      return error.code();
    }
    ADD_FAILURE() << host_path << " was allowed";
    return ErrorCode::Internal;
  }
  std::vector<AllowedMount> allow(const std::string& host_path, const std::string& container_path = "/work") {
    Manifest manifest;
    manifest.mounts.push_back({"m", host_path, container_path});
    return allow_mounts(manifest, project(), store(), {1000, 1000, "kim", home_, ""});
  }

  test::TemporaryDirectory directory_;
  std::string home_ = "/nonexistent/kim";
};

TEST_F(MountPolicyTest, RelativePathsAreTheManifests) {
  const auto allowed = allow("./src");
  ASSERT_EQ(allowed.size(), 1U);
  EXPECT_EQ(allowed[0].host_path, project() + "/src");
  EXPECT_TRUE(allowed[0].is_directory);
  EXPECT_EQ(allow("./").at(0).host_path, project());
}

TEST_F(MountPolicyTest, SystemPathsAreRefused) {
  for (const char* path : {"/etc/shadow", "/etc", "/", "/proc/self/root", "/usr", "/dev/null"})
    EXPECT_EQ(refusal(path), ErrorCode::PermissionDenied) << path;
}

TEST_F(MountPolicyTest, ALinkIsJudgedByWhereItLeads) {
  symlink_at("/etc", directory_.fd(), "project/innocent");
  EXPECT_EQ(refusal("./innocent"), ErrorCode::PermissionDenied);
  symlink_at("src", directory_.fd(), "project/fine");
  EXPECT_EQ(allow("./fine").at(0).host_path, project() + "/src");
}

TEST_F(MountPolicyTest, TheStoreAndWhatHoldsItAreRefused) {
  home_ = directory_.path();  // otherwise they would be refused for where they lie
  symlink_at("../store", directory_.fd(), "project/store");
  symlink_at("..", directory_.fd(), "project/above");
  EXPECT_EQ(refusal("./store"), ErrorCode::PermissionDenied);
  EXPECT_EQ(refusal("./store/trees"), ErrorCode::PermissionDenied);
  EXPECT_EQ(refusal("./above"), ErrorCode::PermissionDenied);
}

TEST_F(MountPolicyTest, AMissingPathIsSaidToBeMissing) {
  EXPECT_EQ(refusal("./nothing"), ErrorCode::NotFound);
}

TEST_F(MountPolicyTest, PlacesOfKarapaceInsideAreRefused) {
  for (const char* path : {"/", "/proc", "/proc/sys", "/sys/fs", "/dev", "/dev/shm"})
    EXPECT_EQ(refusal("./src", path), ErrorCode::PermissionDenied) << path;
}

TEST_F(MountPolicyTest, AFifoIsRefused) {
  ASSERT_EQ(::mkfifo((project() + "/pipe").c_str(), 0600), 0);
  EXPECT_EQ(refusal("./pipe"), ErrorCode::PermissionDenied);
}

}  // namespace
}  // namespace karapace::runtime
