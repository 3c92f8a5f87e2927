// SPDX-License-Identifier: Apache-2.0
#include "store_trouble.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>

#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"

namespace karapace::cli {

namespace {

constexpr std::size_t kMaxShownPath = 4096;
constexpr const char* kDirectories[] = {"store",          "trees",           "env",           "store/objects",
                                        "store/layers",   "store/metadata",  "store/names",   "store/builds",
                                        "store/packages", "store/downloads", "store/staging", "store/wal",
                                        "store/snapshots"};

[[noreturn]] void throw_damage(const std::string& path, const char* what, const char* remove) {
  const std::string shown = printable(path, kMaxShownPath);
  throw Error(ErrorCode::Corrupt, fmt::format("the store is damaged: {} {}", shown, what),
              fmt::format("Put the directory back, or make an empty one: {}mkdir -m 700 {}",
                          *remove == '\0' ? "" : fmt::format("{} {} && ", remove, shown), shown));
}

/// The one that `error` came from, if there is such.
void find_damaged_directory(const SystemError& error, const std::string& store) {
  const UniqueFd root = open_path(store, O_PATH | O_DIRECTORY);
  for (const char* directory : kDirectories) {
    const std::string path = store + "/" + directory;
    if (error.error_number() == ENOENT) {
      // A store may lack what is not needed yet.
      const std::string name = path.substr(path.rfind('/') + 1);
      const bool named = error.message().find("/" + name + "\"") != std::string::npos ||
                         error.message().find("\"" + name + "\"") != std::string::npos;
      if (named && !exists_at(root, directory)) throw_damage(path, "is missing", "");
      continue;
    }
    const auto info = stat_at(root, directory);
    if (!info || S_ISDIR(info->st_mode)) continue;
    throw_damage(
        path,
        S_ISLNK(info->st_mode) ? "is a symbolic link, and not a directory" : "is a file, and not a directory",
        "rm");
  }
}

}  // namespace

void explain_store_trouble(Error& error, const std::string& store) {
  const auto* system = dynamic_cast<const SystemError*>(&error);
  const int number = system == nullptr ? 0 : system->error_number();
  if (number == ELOOP || number == ENOTDIR || number == ENOENT) {
    try {
      find_damaged_directory(*system, store);
    } catch (const SystemError&) {
      return;  // then the failure that led here says more
    }
  }
  // Whoever writes anywhere else has said where.
  if (error.code() != ErrorCode::NoSpace || error.fix() != SystemError(ENOSPC, {}).fix()) return;
  const std::string shown = printable(store, kMaxShownPath);
  if (error.message().find(shown) == std::string::npos) error.add_context("the store " + shown);
  error.set_fix("Make space on its file system: karapace gc frees what nothing needs.");
}

}  // namespace karapace::cli
