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

struct stat own_file() {
  struct stat info {};
  check(::stat(kOwnLink, &info), "look at the file of karapace-init");
  return info;
}

}  // namespace

Exposure program_exposure() {
  if (::geteuid() == 0) return Exposure::Writable;
  const struct stat info = own_file();
  const bool others_write = (info.st_mode & (S_IWGRP | S_IWOTH)) != 0;
  return info.st_uid == 0 && !others_write ? Exposure::Safe : Exposure::Writable;
}

std::string own_program_path() {
  std::array<char, PATH_MAX> path;
  const ssize_t length = ::readlink(kOwnLink, path.data(), path.size());
  if (length < 0) throw_errno("find the file of karapace-init");
  return std::string(path.data(), static_cast<std::size_t>(length));
}

bool is_own_program(FdRef file) {
  struct stat info {};
  check(::fstat(file.get(), &info), "look at the file of karapace-init");
  const struct stat own = own_file();
  return info.st_dev == own.st_dev && info.st_ino == own.st_ino;
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
