// SPDX-License-Identifier: Apache-2.0
#include "karapace/store/no_store.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "karapace/store/layout.hpp"

namespace karapace::store {
namespace {

bool has_something(FdRef root, const std::string& path) {
  const std::optional<UniqueFd> dir = try_open_beneath(root, path, O_RDONLY | O_DIRECTORY);
  return dir && !list_directory(*dir).empty();
}

bool is_of_a_store(const std::string& name) {
  return name == "store" || name == "trees" || name == "env" || name == "lost+found";
}

}  // namespace

NoStore why_no_store(const std::string& root_path) {
  UniqueFd root;
  try {
    root = open_path(root_path, O_RDONLY | O_DIRECTORY);
  } catch (const SystemError& error) {
    if (error.error_number() == ENOENT) return NoStore::NotYet;
    if (error.error_number() == ENOTDIR) return NoStore::SomethingElse;
    throw;
  }
  const std::vector<DirectoryEntry> entries = list_directory(root);
  if (!std::ranges::all_of(entries, is_of_a_store, &DirectoryEntry::name)) {
    // A store to which somebody has added a file is one still.
    if (!exists_at(root, "store/objects")) return NoStore::SomethingElse;
  }
  const bool in_use = std::ranges::any_of(StoreLayout::directories(), [&](const std::string& path) {
    return path != "store" && has_something(root, path);
  });
  return in_use ? NoStore::VersionIsLost : NoStore::NotYet;
}

void throw_no_store(const std::string& root) {
  const std::string path = printable(root, 4096);
  switch (why_no_store(root)) {
    case NoStore::VersionIsLost: {
      CorruptError error(path + "/store/version", "{\"format_version\": 2}", "no such file");
      error.set_fix(
          "If it was so before the damage, write that into the file; karapace verify-store checks the rest.");
      throw error;
    }
    case NoStore::SomethingElse:
      throw Error(ErrorCode::NotFound, fmt::format("{} is not a Karapace store", path),
                  "Name the directory of a store with --store or KARAPACE_STORE.");
    case NoStore::NotYet:
      break;
  }
  throw Error(ErrorCode::NotFound, fmt::format("there is no store at {}", path),
              "Name the directory of a store with --store or KARAPACE_STORE; karapace build makes one.");
}

}  // namespace karapace::store
