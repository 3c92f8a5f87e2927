// SPDX-License-Identifier: Apache-2.0
#include "ownership_filter.hpp"

#include <fcntl.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/stat.h>

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
    check(::seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(0), call, 0), "make the ownership filter");
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
            "make the ownership filter");
    check(::seccomp_rule_add_array(filter.get(), SCMP_ACT_ERRNO(0), SCMP_SYS(mknodat), 1, &mknodat_mode),
          "make the ownership filter");
  }
}

/// An i386 program in an amd64 image makes i386 calls; where libseccomp does not know the pair, those are
/// just not emulated.
void add_compatible_architecture(const Filter& filter) {
  if (::seccomp_arch_native() == SCMP_ARCH_X86_64)
    check(::seccomp_arch_add(filter.get(), SCMP_ARCH_X86), "make the ownership filter");
}

std::vector<std::uint8_t> exported(const Filter& filter) {
  const UniqueFd file(::memfd_create("filter", MFD_CLOEXEC));
  if (!file) throw_errno("make the ownership filter");
  check(::seccomp_export_bpf(filter.get(), file.get()), "make the ownership filter");
  if (::lseek(file.get(), 0, SEEK_SET) != 0) throw_errno("make the ownership filter");
  const std::string bytes = read_all(file, kMaxFilterBytes);
  return {bytes.begin(), bytes.end()};
}

}  // namespace

std::vector<std::uint8_t> make_ownership_filter() {
  const Filter filter(::seccomp_init(SCMP_ACT_ALLOW));
  if (!filter) throw Error(ErrorCode::Internal, "libseccomp could not make a filter");
  add_compatible_architecture(filter);
  // Other architectures' calls pass: the filter emulates, it confines nothing.
  check(::seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW),
        "make the ownership filter");
  let_succeed(filter);
  pretend_device_nodes(filter);
  return exported(filter);
}

}  // namespace karapace::runtime
