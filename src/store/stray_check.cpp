// SPDX-License-Identifier: Apache-2.0
#include "stray_check.hpp"

#include <dirent.h>
#include <fmt/format.h>
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

constexpr const char* kSetAside = "store/wal/corrupt";

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

/// Recovery does not act on what was no entry, so what that was about may be half done.
void check_set_aside(const StoreLayout& layout, FdRef wal, const AddFault& add) {
  const auto info = stat_at(wal, "corrupt");
  if (!info || !S_ISDIR(info->st_mode)) return;  // a fault of its own
  for (const DirectoryEntry& entry : list_directory(open_directory(wal, "corrupt"))) {
    add(make_fault("wal", "corrupt/" + printable(entry.name),
                   "it was no journal entry and was set aside; gc keeps what it may have been about", {},
                   fmt::format("look at it and at the other faults, then remove {}/{}",
                               printable(layout.root_path(), 4096), kSetAside)));
  }
}

constexpr const char* kMadeAgain = ", and the next command that writes makes an empty one";

/// False if it is not there.
bool check_directory(const StoreLayout& layout, const std::string& path, const AddFault& add) {
  const std::string full = printable(layout.root_path() + "/" + path, 4096);
  const std::optional<struct stat> info = stat_at(layout.root(), path);
  if (!info) {
    add(make_fault("directory", path, "it is missing", {},
                   fmt::format("bring it back from a backup, or run karapace gc{}", kMadeAgain)));
    return false;
  }
  if (!S_ISDIR(info->st_mode)) {
    const bool is_link = S_ISLNK(info->st_mode);
    add(make_fault("directory", path,
                   is_link ? "it is a symbolic link, which is never followed" : "it is not a directory", {},
                   fmt::format("move {} away{}", full, kMadeAgain)));
    return false;
  }
  if ((info->st_mode & (S_IWGRP | S_IWOTH)) != 0)
    add(make_fault("directory", path, "other users may change what is in it", {}, "chmod 700 " + full));
  return true;
}

/// Only the root's mode keeps others from reading.
void check_root(const StoreLayout& layout, const AddFault& add) {
  const mode_t mode = stat_fd(layout.root()).st_mode;
  if ((mode & (S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH)) == 0) return;
  const bool writable = (mode & (S_IWGRP | S_IWOTH)) != 0;
  add(make_fault("directory", ".",
                 fmt::format("its mode is {:04o}: other users may {} what is in it", mode & 07777,
                             writable ? "change" : "read"),
                 {}, "chmod 700 " + printable(layout.root_path(), 4096)));
}

}  // namespace

bool check_directories(const StoreLayout& layout, const AddFault& add) {
  check_root(layout, add);
  bool whole = true;
  for (const std::string& path : StoreLayout::directories()) {
    // A store from before there were snapshots has no place for them.
    if (path == "store/snapshots" && !exists_at(layout.root(), path)) continue;
    const bool is_looked_into = path != "store/downloads";
    if (!check_directory(layout, path, add) && is_looked_into) whole = false;
  }
  const auto corrupt = whole ? stat_at(layout.root(), kSetAside) : std::nullopt;
  if (corrupt && !S_ISDIR(corrupt->st_mode)) check_directory(layout, kSetAside, add);
  return whole;
}

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
  check_set_aside(layout, wal, add);
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
