// SPDX-License-Identifier: Apache-2.0
#include "program.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <vector>

#include "karapace/base/error.hpp"
#include "kernel.hpp"

namespace karapace::init {
namespace {

constexpr const char* kOwnLink = "/proc/self/exe";

}  // namespace

ProgramFile look_at_own_program() {
  struct stat info {};
  check(::stat(kOwnLink, &info), "look at the file of karapace-init");
  const bool others_write = (info.st_mode & (S_IWGRP | S_IWOTH)) != 0;
  const bool safe = ::geteuid() != 0 && info.st_uid == 0 && !others_write;
  return ProgramFile{safe ? Exposure::Safe : Exposure::Writable, info.st_dev, info.st_ino};
}

std::string own_program_path() {
  std::array<char, PATH_MAX> path;
  const ssize_t length = ::readlink(kOwnLink, path.data(), path.size());
  if (length < 0) throw_errno("find the file of karapace-init");
  return std::string(path.data(), static_cast<std::size_t>(length));
}

bool is_program(FdRef file, const ProgramFile& program) {
  struct stat info {};
  check(::fstat(file.get(), &info), "look at the file of karapace-init");
  return info.st_dev == program.device && info.st_ino == program.inode;
}

void execute_program(FdRef file, const char* name, std::initializer_list<int> fds) {
  std::vector<std::string> texts{name};
  for (const int fd : fds) texts.push_back(std::to_string(fd));
  std::vector<char*> arguments;
  for (std::string& text : texts) arguments.push_back(text.data());
  arguments.push_back(nullptr);
  char* const no_environment[] = {nullptr};
  ::execveat(file.get(), "", arguments.data(), no_environment, AT_EMPTY_PATH);
  throw_errno("execute karapace-init from a read-only mount");
}

}  // namespace karapace::init
