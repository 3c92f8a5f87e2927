// SPDX-License-Identifier: Apache-2.0
#include "root_mounts.hpp"

#include <string>

namespace karapace::runtime {

namespace {

void protect_kernel_settings(std::vector<MountStep>& steps) {
  for (const char* path : {"/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs",
                           "/proc/acpi", "/proc/scsi", "/proc/asound"}) {
    steps.push_back({.kind = MountKind::Bind,
                     .source = path,
                     .target = path,
                     .read_only = true,
                     .recursive = true,
                     .no_exec = true,
                     .optional = true});
  }
}

}  // namespace

std::vector<MountStep> root_mounts(const RootMounts& options) {
  std::vector<MountStep> steps;
  steps.push_back({.kind = MountKind::Proc, .target = "/proc"});
  if (options.host_root) protect_kernel_settings(steps);
  if (options.host_sys) {
    steps.push_back({.kind = MountKind::Bind,
                     .source = "/sys",
                     .target = "/sys",
                     .read_only = true,
                     .recursive = true,
                     .no_exec = true});
  }
  steps.push_back(
      {.kind = MountKind::Tmpfs, .target = "/dev", .no_exec = true, .mode = 0755, .options = "size=64k"});
  for (const char* device :
       {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"}) {
    steps.push_back({.kind = MountKind::Bind,
                     .source = device,
                     .target = device,
                     .no_exec = true,
                     .allow_devices = true,
                     .create_target = true});
  }
  const auto symbolic = [&](const char* text, const char* target) {
    steps.push_back({.kind = MountKind::Symlink, .source = text, .target = target});
  };
  symbolic("/proc/self/fd", "/dev/fd");
  symbolic("/proc/self/fd/0", "/dev/stdin");
  symbolic("/proc/self/fd/1", "/dev/stdout");
  symbolic("/proc/self/fd/2", "/dev/stderr");
  symbolic("pts/ptmx", "/dev/ptmx");
  std::string terminals = "ptmxmode=0666,mode=0620";
  if (options.tty_group) terminals += ",gid=5";
  steps.push_back(
      {.kind = MountKind::Devpts, .target = "/dev/pts", .create_target = true, .options = terminals});
  steps.push_back({.kind = MountKind::Tmpfs,
                   .target = "/dev/shm",
                   .no_exec = true,
                   .create_target = true,
                   .mode = 01777});
  steps.push_back({.kind = MountKind::Tmpfs, .target = "/run", .mode = 0755});
  steps.push_back({.kind = MountKind::Tmpfs, .target = "/tmp", .mode = 01777});
  return steps;
}

}  // namespace karapace::runtime
