/* SPDX-License-Identifier: Apache-2.0
 * The least that any program must do to run a command in a new environment: one clone with the namespaces,
 * the id maps, one overlay mount, /proc, pivot_root, exec. No checks, no /dev, no confinement. The floor that
 * sessions are measured against.
 *
 *   floor_new LOWER UPPER WORK MERGED PROGRAM [ARG...]
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(int result, const char* what) {
  if (result < 0) {
    perror(what);
    _exit(1);
  }
}

static void put(const char* path, const char* text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  check(fd, path);
  check((int)write(fd, text, strlen(text)), path);
  close(fd);
}

int main(int argc, char** argv) {
  if (argc < 6) return 2;
  int ready[2];
  check(pipe2(ready, O_CLOEXEC), "pipe");
  struct clone_args args = {.flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS,
                            .exit_signal = SIGCHLD};
  pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
  check(pid, "clone3");
  if (pid == 0) {
    char byte, options[4096], old[4200];
    close(ready[1]);
    if (read(ready[0], &byte, 1) != 1) _exit(1);
    check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private");
    snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s,userxattr", argv[1], argv[2],
             argv[3]);
    check(mount("overlay", argv[4], "overlay", 0, options), "overlay");
    snprintf(old, sizeof(old), "%s/proc", argv[4]);
    check(mount("proc", old, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "proc");
    check(chdir(argv[4]), "chdir");
    check((int)syscall(SYS_pivot_root, ".", "."), "pivot_root");
    check(umount2(".", MNT_DETACH), "umount");
    check(chdir("/"), "chdir");
    execv(argv[5], argv + 5);
    check(-1, "exec");
  }
  char path[64], map[64];
  snprintf(path, sizeof(path), "/proc/%d/setgroups", pid);
  put(path, "deny");
  snprintf(path, sizeof(path), "/proc/%d/gid_map", pid);
  snprintf(map, sizeof(map), "0 %u 1", (unsigned)getegid());
  put(path, map);
  snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
  snprintf(map, sizeof(map), "0 %u 1", (unsigned)geteuid());
  put(path, map);
  check((int)write(ready[1], "x", 1), "write");
  int status = 0;
  check(waitpid(pid, &status, 0), "wait");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
