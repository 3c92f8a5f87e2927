// SPDX-License-Identifier: Apache-2.0
#include "system_call_filter.hpp"

#include <fcntl.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <memory>
#include <string>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"

namespace karapace::runtime {
namespace {

constexpr std::size_t kMaxFilterBytes = 4096 * 8;  // BPF_MAXINSNS

using Filter = std::unique_ptr<void, decltype([](void* filter) noexcept { ::seccomp_release(filter); })>;

void check(int result, const char* what) {
  if (result < 0) throw SystemError(-result, what);
}

void let_succeed(const Filter& filter) {
  for (const int call :
       {SCMP_SYS(chown),       SCMP_SYS(lchown),      SCMP_SYS(fchown),     SCMP_SYS(fchownat),
        SCMP_SYS(chown32),     SCMP_SYS(lchown32),    SCMP_SYS(fchown32),   SCMP_SYS(setuid),
        SCMP_SYS(setgid),      SCMP_SYS(setreuid),    SCMP_SYS(setregid),   SCMP_SYS(setresuid),
        SCMP_SYS(setresgid),   SCMP_SYS(setfsuid),    SCMP_SYS(setfsgid),   SCMP_SYS(setgroups),
        SCMP_SYS(setuid32),    SCMP_SYS(setgid32),    SCMP_SYS(setreuid32), SCMP_SYS(setregid32),
        SCMP_SYS(setresuid32), SCMP_SYS(setresgid32), SCMP_SYS(setfsuid32), SCMP_SYS(setfsgid32),
        SCMP_SYS(setgroups32), SCMP_SYS(capset)}) {
    // A call that an architecture does not have is no rule there.
    if (call < 0) continue;
    check(::seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(0), call, 0), "make the system call filter");
  }
}

/// Device nodes only: a FIFO or a socket must really be made. The type is in the low 16 bits; the upper ones
/// of the register are the caller's business and must not decide.
void pretend_device_nodes(const Filter& filter) {
  for (const scmp_datum_t type : {scmp_datum_t{S_IFCHR}, scmp_datum_t{S_IFBLK}}) {
    const scmp_arg_cmp mknod_mode{1, SCMP_CMP_MASKED_EQ, scmp_datum_t{S_IFMT}, type};
    const scmp_arg_cmp mknodat_mode{2, SCMP_CMP_MASKED_EQ, scmp_datum_t{S_IFMT}, type};
    if (SCMP_SYS(mknod) >= 0)
      check(::seccomp_rule_add_array(filter.get(), SCMP_ACT_ERRNO(0), SCMP_SYS(mknod), 1, &mknod_mode),
            "make the system call filter");
    check(::seccomp_rule_add_array(filter.get(), SCMP_ACT_ERRNO(0), SCMP_SYS(mknodat), 1, &mknodat_mode),
          "make the system call filter");
  }
}

/// As on a kernel without keyrings, which every program knows how to do without.
void hide_keyrings(const Filter& filter) {
  for (const int call : {SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(keyctl)})
    check(::seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(ENOSYS), call, 0), "make the system call filter");
}

/// A 32-bit program in a 64-bit image makes calls of its own numbers.
void add_compatible_architectures(const Filter& filter) {
  const auto add = [&](std::uint32_t architecture) {
    check(::seccomp_arch_add(filter.get(), architecture), "make the system call filter");
  };
  if (::seccomp_arch_native() == SCMP_ARCH_X86_64) {
    add(SCMP_ARCH_X86);
    add(SCMP_ARCH_X32);
  }
  if (::seccomp_arch_native() == SCMP_ARCH_AARCH64) add(SCMP_ARCH_ARM);
}

std::vector<std::uint8_t> exported(const Filter& filter) {
  const UniqueFd file(::memfd_create("filter", MFD_CLOEXEC));
  if (!file) throw_errno("make the system call filter");
  check(::seccomp_export_bpf(filter.get(), file.get()), "make the system call filter");
  if (::lseek(file.get(), 0, SEEK_SET) != 0) throw_errno("make the system call filter");
  const std::string bytes = read_all(file, kMaxFilterBytes);
  return {bytes.begin(), bytes.end()};
}

}  // namespace

std::vector<std::uint8_t> make_system_call_filter(EmulateOwnership emulate) {
  const Filter filter(::seccomp_init(SCMP_ACT_ALLOW));
  if (!filter) throw Error(ErrorCode::Internal, "libseccomp could not make a filter");
  // The errno of a write that fails, and not ECANCELED for all of them.
  check(::seccomp_attr_set(filter.get(), SCMP_FLTATR_API_SYSRAWRC, 1), "make the system call filter");
  add_compatible_architectures(filter);
  // What libseccomp does not know as this machine's passes: the kernel has no such calls here.
  check(::seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW),
        "make the system call filter");
  hide_keyrings(filter);
  if (emulate == EmulateOwnership::Yes) {
    let_succeed(filter);
    pretend_device_nodes(filter);
  }
  return exported(filter);
}

}  // namespace karapace::runtime
