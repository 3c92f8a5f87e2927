// SPDX-License-Identifier: Apache-2.0
#include "stray_check.hpp"

#include <dirent.h>
#include <sys/stat.h>

#include <optional>
#include <set>
#include <utility>

#include "karapace/base/digest.hpp"
#include "karapace/base/durable.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "karapace/store/metadata.hpp"
#include "karapace/store/object_store.hpp"
#include "wal_entry.hpp"

namespace karapace::store {
namespace {

/// What is written inside is the user's own; that it is written here, and nowhere else, is checked.
void check_environment(FdRef environments, const std::string& env_id, const AddFault& add) {
  try {
    for (const char* name : {"upper", "work", "home", "run"}) {
      const auto info = stat_at(environments, env_id + "/" + name);
      if (info && !S_ISDIR(info->st_mode))
        throw CorruptError(name, "a directory", S_ISLNK(info->st_mode) ? "a symbolic link" : "a file");
    }
    const auto lock = stat_at(environments, env_id + "/.lock");
    if (lock && !S_ISREG(lock->st_mode))
      throw CorruptError(".lock", "a file", "something else, which can be removed");
  } catch (const Error& error) {
    if (is_shortage(error)) throw;
    add(make_fault("environment", env_id, error.message(), {env_id}));
  }
}

/// The operations that it names.
std::set<std::string> check_entries(FdRef wal, const AddFault& add) {
  std::set<std::string> operations;
  for (const DirectoryEntry& entry : list_directory(wal)) {
    if (entry.name == "corrupt" || entry.name.starts_with(kTemporaryPrefix)) continue;
    const std::string op_id = entry.name.substr(0, entry.name.find('.'));
    try {
      if (!is_op_id(op_id) || entry.name != wal_file_name(op_id))
        throw CorruptError("its name", "<op_id>.json", "another");
      operations.insert(op_id);
      const std::optional<std::string> text = try_read_file_at(wal, entry.name, kMaxWalEntryBytes);
      if (text) static_cast<void>(parse_wal_text(*text, op_id));
    } catch (const Error& error) {
      if (is_shortage(error)) throw;
      add(make_fault("wal", printable(entry.name), error.message()));
    }
  }
  return operations;
}

}  // namespace

void check_builds(const StoreLayout& layout, const AddFault& add) {
  const UniqueFd builds = layout.open_dir("store/builds");
  const BuildCache cache(layout);
  for (const DirectoryEntry& entry : list_directory(builds)) {
    if (entry.name.starts_with(kTemporaryPrefix)) continue;
    const bool good = Digest::is_valid(entry.name) && entry.type != DT_LNK &&
                      cache.find(Digest::parse(entry.name)).has_value();
    if (!good) add(make_fault("build", printable(entry.name), "it is no build record"));
  }
}

void check_places(const StoreLayout& layout, const std::map<std::string, std::string>& told,
                  const AddFault& add) {
  for (const auto& [place, kind] : {std::pair{"trees", "tree"}, std::pair{"env", "environment"}}) {
    const UniqueFd dir = layout.open_dir(place);
    for (const DirectoryEntry& entry : list_directory(dir)) {
      if (entry.name.starts_with(kTemporaryPrefix)) continue;
      const auto info = stat_at(dir, entry.name);
      if (!info || told.contains(entry.name)) continue;
      if (!Digest::is_valid(entry.name)) {
        add(make_fault(kind, printable(entry.name), "its name is not one of ours"));
      } else if (S_ISLNK(info->st_mode)) {
        add(make_fault(kind, entry.name, "it is a symbolic link, which is never followed"));
      } else if (!S_ISDIR(info->st_mode)) {
        add(make_fault(kind, entry.name, "it is not a directory"));
      } else if (kind == std::string_view("environment")) {
        check_environment(dir, entry.name, add);
      }
    }
  }
}

void check_log(const StoreLayout& layout, const AddFault& add) {
  const UniqueFd wal = layout.open_dir("store/wal");
  const std::set<std::string> operations = check_entries(wal, add);
  const UniqueFd staging = layout.staging();
  for (const DirectoryEntry& entry : list_directory(staging)) {
    // Looked up again: an operation may have begun since the log was read.
    if (operations.contains(entry.name) || exists_at(wal, wal_file_name(entry.name))) continue;
    if (exists_at(staging, entry.name))
      add(make_fault("staging", printable(entry.name), "no operation owns it"));
  }
}

}  // namespace karapace::store
