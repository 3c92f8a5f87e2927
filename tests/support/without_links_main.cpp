// SPDX-License-Identifier: Apache-2.0
//   karapace-test-without-links ERRNO|symlinks PROGRAM [ARGUMENT...]
// Runs a program for which no hard link can be made: a file system without them (EPERM), one that has
// reached its number of links (EMLINK), two file systems (EXDEV). "symlinks": or no symbolic
// link, as on vfat (EPERM).
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <string_view>

namespace {

unsigned number_of(std::string_view name) {
  if (name == "EPERM" || name == "symlinks") return EPERM;
  if (name == "EMLINK") return EMLINK;
  if (name == "EXDEV") return EXDEV;
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const unsigned number = argc < 3 ? 0 : number_of(argv[1]);
  if (number == 0) {
    std::fprintf(stderr, "usage: %s EPERM|EMLINK|EXDEV|symlinks PROGRAM [ARGUMENT...]\n", argv[0]);
    return 2;
  }
  const unsigned call = argv[1] == std::string_view("symlinks") ? SYS_symlinkat : SYS_linkat;
  std::array filter{sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                    sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
                    sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | number),
                    sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog program{filter.size(), filter.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    std::perror("seccomp");
    return 1;
  }
  ::execv(argv[2], argv + 2);
  std::perror(argv[2]);
  return 127;
}
