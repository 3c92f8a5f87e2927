// SPDX-License-Identifier: Apache-2.0
#include "id_map_writer.hpp"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

#include "karapace/base/error.hpp"
#include "kernel.hpp"

namespace karapace::init {
namespace {

using runtime::IdExtent;

std::string map_text(const std::vector<IdExtent>& extents) {
  std::string text;
  for (const IdExtent& extent : extents) {
    text += std::to_string(extent.inside) + ' ' + std::to_string(extent.outside) + ' ' +
            std::to_string(extent.count) + '\n';
  }
  return text;
}

std::string find_helper(const char* name) {
  for (const char* directory : {"/usr/bin/", "/bin/", "/usr/local/bin/", "/usr/sbin/", "/sbin/"}) {
    std::string path = std::string(directory) + name;
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  throw Error(ErrorCode::Unsupported, std::string("there is no ") + name + " on this system",
              "Install the package \"uidmap\" (or \"shadow-utils\"), or use `ownership = \"flat\"`.");
}

pid_t spawn_helper(const char* name, pid_t target, const std::vector<IdExtent>& extents) {
  std::vector<std::string> texts{find_helper(name), std::to_string(target)};
  for (const IdExtent& extent : extents) {
    for (const std::uint32_t number : {extent.inside, extent.outside, extent.count})
      texts.push_back(std::to_string(number));
  }
  std::vector<char*> arguments;
  for (std::string& text : texts) arguments.push_back(text.data());
  arguments.push_back(nullptr);
  char* const no_environment[] = {nullptr};
  pid_t pid = -1;
  const int error =
      ::posix_spawn(&pid, texts.front().c_str(), nullptr, nullptr, arguments.data(), no_environment);
  if (error != 0) throw SystemError(error, "run " + texts.front());
  return pid;
}

void check_helper(const char* name, int status) {
  if (status == 0) return;
  throw Error(ErrorCode::Unsupported, std::string(name) + " refused to map the subordinate ids of this user",
              "Check /etc/subuid and /etc/subgid, or use `ownership = \"flat\"`.");
}

struct NestedRequest {
  const runtime::NestedUser* user = nullptr;
  int namespace_fd = -1;
  int error_number = 0;
};

int make_nested_maps(void* argument) noexcept {
  auto& request = *static_cast<NestedRequest*>(argument);
  try {
    write_file("/proc/self/setgroups", "deny");
    write_file("/proc/self/uid_map", map_text({{request.user->uid, 0, 1}}));
    write_file("/proc/self/gid_map", map_text({{request.user->gid, 0, 1}}));
    request.namespace_fd =
        check(::open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC), "open the nested user namespace");
  } catch (const SystemError& error) {
    request.error_number = error.error_number();
  }
  return 0;
}

}  // namespace

bool written_inside(const runtime::IdMaps& ids) {
  return !ids.use_helpers && ids.uids.size() == 1 && ids.uids.front().count == 1 && ids.gids.size() == 1 &&
         ids.gids.front().count == 1;
}

void write_own_maps(const runtime::IdMaps& ids) {
  write_file("/proc/self/setgroups", "deny");
  write_file("/proc/self/uid_map", map_text(ids.uids));
  write_file("/proc/self/gid_map", map_text(ids.gids));
}

void write_maps_of(pid_t pid, const runtime::IdMaps& ids) {
  if (!ids.use_helpers) {
    const std::string process = "/proc/" + std::to_string(pid);
    write_file(process + "/uid_map", map_text(ids.uids));
    write_file(process + "/gid_map", map_text(ids.gids));
    return;
  }
  const pid_t uid_helper = spawn_helper("newuidmap", pid, ids.uids);
  const pid_t gid_helper = spawn_helper("newgidmap", pid, ids.gids);
  const int uid_status = wait_for(uid_helper);
  const int gid_status = wait_for(gid_helper);
  check_helper("newuidmap", uid_status);
  check_helper("newgidmap", gid_status);
}

UniqueFd make_nested_user(const runtime::NestedUser& user) {
  // A child that shares our memory and descriptors lives just long enough to write its maps; the descriptor
  // stays with us.
  NestedRequest request{.user = &user};
  alignas(16) static char stack[64 * 1024];
  const pid_t child = check(::clone(make_nested_maps, stack + sizeof stack,
                                    CLONE_NEWUSER | CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, &request),
                            "make the nested user namespace");
  wait_for(child);
  if (request.error_number != 0)
    throw SystemError(request.error_number, "map the user of the nested user namespace");
  return UniqueFd(request.namespace_fd);
}

}  // namespace karapace::init
