// SPDX-License-Identifier: Apache-2.0
// This program's own file, and how it is kept from being written to by what runs inside (CVE-2019-5736).
#pragma once

#include <sys/types.h>

#include <initializer_list>
#include <string>

#include "karapace/base/unique_fd.hpp"

namespace karapace::init {

enum class Exposure {
  Safe,      // belongs to the host's root, and no id inside is the host's root
  Writable,  // somebody inside may own it: only a read-only mount of it may be seen there
};
struct ProgramFile {
  Exposure exposure = Exposure::Writable;
  dev_t device = 0;
  ino_t inode = 0;
};
/// To be asked before any namespace is entered: inside, /proc does not know the supervisor.
[[nodiscard]] ProgramFile look_at_own_program();
[[nodiscard]] bool is_program(FdRef file, const ProgramFile& program);
/// Needs the host's /proc.
[[nodiscard]] std::string own_program_path();

/// Executes the program behind `file` under another name. `fds` become its arguments. Throws if that fails.
[[noreturn]] void execute_program(FdRef file, const char* name, std::initializer_list<int> fds);

}  // namespace karapace::init
