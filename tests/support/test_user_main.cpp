// SPDX-License-Identifier: Apache-2.0
// Runs these tests as the user that KARAPACE_TEST_AS asks for, if we are root:
//   user   the unprivileged user KARAPACE_TEST_USER (nobody if unset), as the product is used
//   plain  KARAPACE_TEST_USER_NO_SUBIDS: no subordinate ids
//   root   root itself
//   owner  as user, with programs that belong to that user: a build in one's own clone
// Anybody else runs them as themselves.
#include <grp.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace {

std::string variable(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : otherwise;
}

bool become(const std::string& name) {
  const passwd* user = ::getpwnam(name.c_str());
  if (user == nullptr) return false;
  if (::initgroups(user->pw_name, user->pw_gid) != 0 || ::setgid(user->pw_gid) != 0 ||
      ::setuid(user->pw_uid) != 0)
    return false;
  ::setenv("HOME", user->pw_dir, 1);
  ::setenv("USER", user->pw_name, 1);
  // Changing ids took our own /proc files away from us.
  return ::prctl(PR_SET_DUMPABLE, 1) == 0;
}

/// Runs a copy of this program, with copies of the internal programs beside it, all of them the user's.
int run_owned_copy(const std::string& user, char** argv) {
  namespace fs = std::filesystem;
  const passwd* entry = ::getpwnam(user.c_str());
  std::string directory = fs::temp_directory_path() / "karapace-owner-XXXXXX";
  if (entry == nullptr || ::mkdtemp(directory.data()) == nullptr) return 1;
  const std::string program = directory + "/tests";
  fs::copy_file("/proc/self/exe", program);
  std::vector<std::string> owned{directory, program};
  for (const std::string name : {"karapace-init", "karapace-worker"}) {
    owned.push_back(directory + "/" + name);
    fs::copy_file(std::string(KARAPACE_BIN_DIR) + "/" + name, owned.back());
  }
  for (const std::string& path : owned) {
    if (::chown(path.c_str(), entry->pw_uid, entry->pw_gid) != 0) return 1;
  }
  const pid_t child = ::fork();
  if (child == 0) {
    if (!become(user)) ::_exit(1);
    ::execv(program.c_str(), argv);
    ::_exit(1);
  }
  int status = 1;
  ::waitpid(child, &status, 0);
  fs::remove_all(directory);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const std::string as = variable("KARAPACE_TEST_AS", "user");
  if (::geteuid() == 0 && as == "owner")
    return run_owned_copy(variable("KARAPACE_TEST_USER", "nobody"), argv);
  if (::geteuid() == 0 && as != "root") {
    const std::string name = as == "plain" ? variable("KARAPACE_TEST_USER_NO_SUBIDS", "nobody")
                                           : variable("KARAPACE_TEST_USER", "nobody");
    if (!become(name)) {
      std::fprintf(stderr, "cannot run as user %s\n", name.c_str());
      return 1;
    }
  }
  // What a killed supervisor leaves comes to us instead of a distant init, which may take its time.
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) return 1;
  return RUN_ALL_TESTS();
}
