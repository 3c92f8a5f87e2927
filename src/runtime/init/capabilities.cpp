// SPDX-License-Identifier: Apache-2.0
#include "capabilities.hpp"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "kernel.hpp"

namespace karapace::init {
namespace {

constexpr std::uint64_t bit(int capability) { return std::uint64_t{1} << static_cast<unsigned>(capability); }

constexpr std::uint64_t kOfTheMachine =
    bit(CAP_SYS_MODULE) | bit(CAP_SYS_RAWIO) | bit(CAP_SYS_BOOT) | bit(CAP_SYS_TIME) | bit(CAP_MAC_ADMIN) |
    bit(CAP_MAC_OVERRIDE) | bit(CAP_SYSLOG) | bit(CAP_BPF) | bit(CAP_PERFMON) | bit(CAP_WAKE_ALARM) |
    bit(CAP_BLOCK_SUSPEND) | bit(CAP_AUDIT_CONTROL) | bit(CAP_AUDIT_READ) | bit(CAP_AUDIT_WRITE);

std::uint64_t set_of(Capabilities kept) {
  switch (kept) {
    case Capabilities::None:
      return 0;
    case Capabilities::OnlyKill:
      return bit(CAP_KILL);
    case Capabilities::Root:
      return ~kOfTheMachine;
  }
  return 0;
}

}  // namespace

void bound_capabilities(Capabilities kept) {
  const std::uint64_t set = set_of(kept);
  // The kernel's last capability is the one before the first that it does not know.
  for (int capability = 0; capability < 64; ++capability) {
    if ((set & bit(capability)) != 0) continue;
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
    if (errno == EINVAL) break;
    check(-1, "limit the capabilities");
  }
  check(::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "clear the ambient capabilities");
}

void set_capabilities(Capabilities kept) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (kept != Capabilities::None) {
    check(static_cast<int>(::syscall(SYS_capget, &header, data)), "read the capabilities");
    const std::uint64_t set = set_of(kept);
    for (unsigned half = 0; half < 2; ++half) {
      data[half].permitted &= static_cast<std::uint32_t>(set >> (32 * half));
      data[half].effective = data[half].permitted;
      data[half].inheritable = 0;
    }
  }
  check(static_cast<int>(::syscall(SYS_capset, &header, data)), "set the capabilities");
}

}  // namespace karapace::init
