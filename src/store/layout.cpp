// SPDX-License-Identifier: Apache-2.0
#include "karapace/store/layout.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <functional>

#include "karapace/base/clock.hpp"
#include "karapace/base/digest.hpp"
#include "karapace/base/durable.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/json.hpp"
#include "karapace/base/text.hpp"
#include "tree_io.hpp"

namespace karapace::store {
namespace {

constexpr const char* kVersionFile = "version";
constexpr std::array kTopDirectories = {"store", "trees", "env"};
constexpr std::array kStoreDirectories = {"objects",  "layers",    "metadata", "names", "builds",
                                          "packages", "downloads", "staging",  "wal",   "snapshots"};
constexpr int kOpenDirectory = O_RDONLY | O_DIRECTORY;
// A lock file can vanish with its environment while we wait for it. Each round needs a destroy that ended in
// between.
constexpr int kLockRounds = 64;

std::string environment_variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

CorruptError damaged_version(std::string_view text) {
  CorruptError error("store/version", "{\"format_version\": 2}", printable(text));
  error.set_fix(
      "If it was so before the damage, write that into the file; karapace verify-store checks the rest.");
  return error;
}

std::uint64_t parse_version(std::string_view text) {
  try {
    const Json value = parse_json(text, "store/version");
    if (value.is_object() && value.contains("format_version") &&
        value["format_version"].is_number_unsigned()) {
      return value["format_version"].get<std::uint64_t>();
    }
  } catch (const Error&) {
    // The text is shown below: all ways to be unreadable are one fault here.
  }
  throw damaged_version(text);
}

/// False if there is no version file. Anything but our version throws.
bool check_version(FdRef store) {
  const std::optional<std::string> text = try_read_file_at(store, kVersionFile, 4096);
  if (!text) return false;
  const std::uint64_t version = parse_version(*text);
  if (version > kFormatVersion) {
    throw FormatError(
        version,
        fmt::format("the store has format version {}, this program knows {}", version, kFormatVersion),
        "Use the newer karapace that wrote it.");
  }
  if (version < kFormatVersion) {
    throw FormatError(version,
                      fmt::format("the store has the old format version {}, this program needs {}", version,
                                  kFormatVersion),
                      "Run: karapace migrate");
  }
  return true;
}

/// A mistyped path must not be filled with our directories.
void check_may_initialise(FdRef root, const std::string& path) {
  for (const DirectoryEntry& entry : list_directory(root)) {
    const bool ours = entry.name == "store" || entry.name == "trees" || entry.name == "env";
    if (!ours && entry.name != "lost+found") {
      throw Error(ErrorCode::InvalidInput,
                  fmt::format("{} is neither empty nor a Karapace store (it has \"{}\")", path,
                              printable(entry.name)),
                  "Name another directory with --store.");
    }
  }
}

[[noreturn]] void refuse_file_system(const std::string& path, std::string_view reason) {
  throw Error(ErrorCode::Unsupported,
              fmt::format("the file system of {} cannot hold a store: {}", path, reason),
              "Use a local file system such as ext4, xfs, btrfs or tmpfs, with --store or KARAPACE_STORE.");
}

void make_as_needed(const std::string& path, const char* what, const std::function<void()>& make) {
  try {
    make();
  } catch (const SystemError& error) {
    const int number = error.error_number();
    if (number == EPERM || number == ENOSYS || number == EOPNOTSUPP || number == EINVAL)
      refuse_file_system(path, fmt::format("it has no {}", what));
    throw;
  }
}

/// What a tree or a record needs and some file systems do not have (vfat, exfat, shares of other systems): it
/// is told before anything is downloaded. There may be no hard links, no extended attributes and no reflinks.
void require_file_system(FdRef store, const std::string& path) {
  const std::string probe = std::string(kTemporaryPrefix) + random_hex(8);
  make_as_needed(path, "permissions", [&] {
    make_directory_at(store, probe, 0751);
    const auto made = stat_at(store, probe);
    remove_directory_at(store, probe);
    if (!made || (made->st_mode & 07777) != 0751) refuse_file_system(path, "it does not keep permissions");
  });
  make_as_needed(path, "symbolic links", [&] { symlink_at("anywhere", store, probe); });
  bool renamed = false;
  try {
    renamed = rename_at(store, probe, store, probe + "-2", Replace::No);
  } catch (const Error& error) {
    try_unlink_at(store, probe);
    if (error.code() == ErrorCode::Unsupported)
      refuse_file_system(path, "it cannot rename without replacing");
    throw;
  }
  try_unlink_at(store, renamed ? probe + "-2" : probe);
}

void create_root(const std::string& path) {
  const std::filesystem::path full(path);
  const UniqueFd top = open_path("/", kOpenDirectory);
  // Component by component through the kernel's own lookup, so that a symlinked home works as anywhere else.
  std::string so_far;
  for (const auto& part : full.relative_path()) {
    so_far += "/" + part.string();
    if (std::filesystem::is_directory(so_far)) continue;
    const std::string parent = std::filesystem::path(so_far).parent_path().string();
    const UniqueFd dir = open_path(parent, kOpenDirectory);
    try {
      ensure_directory_at(dir, part.string(), 0700);
    } catch (const SystemError&) {
      if (exists_at(dir, part.string())) refuse_file_system(path, "it has no permissions");
      throw;
    }
    sync_directory(dir);
  }
}

bool is_same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

bool still_named(FdRef dir, const std::string& name, FdRef file) {
  const std::optional<struct stat> now = stat_at(dir, name);
  return now && is_same_file(*now, stat_fd(file));
}

/// Only the root's mode keeps others from reading: what is below may have any mode.
void close_to_others(FdRef root) {
  const struct stat info = stat_fd(root);
  if (info.st_uid == ::geteuid() && (info.st_mode & 077) != 0) tree_io::set_mode(root, 0700);
}

constexpr const char* kLockFile = ".lock";

UniqueFd open_lock(FdRef dir) { return open_beneath(dir, kLockFile, O_RDWR | O_CREAT | O_NOFOLLOW, 0600); }

/// On a read-only file system nobody else writes, but there may be other mounts of it: so a lock that is
/// there is taken.
UniqueFd open_shared_lock(FdRef dir) {
  try {
    return open_lock(dir);
  } catch (const SystemError& error) {
    if (error.error_number() != EROFS) throw;
    auto file = try_open_beneath(dir, kLockFile, O_RDONLY | O_NOFOLLOW);
    if (!file) throw;
    return std::move(*file);
  }
}

/// Runs `body`; what it throws says what was meant to be a store.
template <typename Body>
auto opening(const std::string& path, Body&& body) -> decltype(body()) {
  return with_context([&] { return "opening the store " + path; },
                      [&] {
                        try {
                          return body();
                        } catch (SystemError& error) {
                          if (error.error_number() == ENOTDIR)
                            error.set_fix("Name a directory with --store or KARAPACE_STORE.");
                          throw;
                        }
                      });
}

}  // namespace

std::string default_store_path() {
  if (const std::string store = environment_variable("KARAPACE_STORE"); !store.empty())
    return absolute_path(store);
  // The XDG specification: a relative value is invalid and is ignored.
  if (const std::string data = environment_variable("XDG_DATA_HOME"); data.starts_with('/'))
    return data + "/karapace";
  const std::string home = environment_variable("HOME");
  if (!home.starts_with('/')) {
    throw Error(ErrorCode::InvalidInput, "HOME is not set, so there is no default place for the store",
                "Set HOME or KARAPACE_STORE, or pass --store.");
  }
  return home + "/.local/share/karapace";
}

void check_env_id(std::string_view env_id) {
  if (!Digest::is_valid(env_id)) {
    throw Error(ErrorCode::InvalidInput, fmt::format("not an environment id: \"{}\"", printable(env_id)));
  }
}

StoreLayout::StoreLayout(std::string root_path, UniqueFd root, UniqueFd store)
    : root_path_(std::move(root_path)), root_(std::move(root)), store_(std::move(store)) {}

StoreLayout StoreLayout::open_or_create(const std::string& root_path) {
  const std::string path = absolute_path(root_path);
  return opening(path, [&] {
    create_root(path);
    UniqueFd root = open_path(path, kOpenDirectory);
    if (std::optional<UniqueFd> store = try_open_beneath(root, "store", kOpenDirectory);
        store && check_version(*store)) {
      for (const char* name : kTopDirectories) ensure_directory_at(root, name, 0700);
      for (const char* name : kStoreDirectories) ensure_directory_at(*store, name, 0700);
      return StoreLayout(path, std::move(root), std::move(*store));
    }
    check_may_initialise(root, path);
    make_as_needed(path, "permissions", [&] { ensure_directory_at(root, "store", 0700); });
    UniqueFd store = open_directory(root, "store");
    require_file_system(store, path);
    // A directory that was there already. Before there is anything in it to read.
    close_to_others(root);
    for (const char* name : kTopDirectories) ensure_directory_at(root, name, 0700);
    for (const char* name : kStoreDirectories) ensure_directory_at(store, name, 0700);
    sync_directory(store);
    // Last: a store is one when it has a version.
    OrderedJson version;
    version["format_version"] = kFormatVersion;
    replace_file(store, kVersionFile, pretty_json(version));
    sync_directory(root);
    return StoreLayout(path, std::move(root), std::move(store));
  });
}

std::optional<StoreLayout> StoreLayout::open_existing(const std::string& root_path) {
  return opening(absolute_path(root_path), [&]() -> std::optional<StoreLayout> {
    std::optional<StoreLayout> layout = find(absolute_path(root_path));
    if (layout && !check_version(layout->store_)) return std::nullopt;
    return layout;
  });
}

const std::vector<std::string>& StoreLayout::directories() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> names(kTopDirectories.begin(), kTopDirectories.end());
    for (const char* name : kStoreDirectories) names.push_back(std::string("store/") + name);
    return names;
  }();
  return all;
}

void StoreLayout::require_one_file_system() const {
  const dev_t device = stat_fd(root_).st_dev;
  const auto check = [&](FdRef dir, const char* name) {
    const auto info = stat_at(dir, name);
    if (!info || info->st_dev == device) return;
    throw Error(
        ErrorCode::Unsupported,
        fmt::format("\"{}\" in the store {} is on another file system than the rest", name, root_path_),
        "Files are moved between its directories: mount the whole store there, not a part of it.");
  };
  for (const char* name : kTopDirectories) check(root_, name);
  for (const char* name : kStoreDirectories) check(store_, name);
}

std::optional<StoreLayout> StoreLayout::open_any_version(const std::string& root_path) {
  return opening(absolute_path(root_path), [&] { return find(absolute_path(root_path)); });
}

std::optional<StoreLayout> StoreLayout::find(const std::string& path) {
  UniqueFd root;
  try {
    root = open_path(path, kOpenDirectory);
  } catch (const SystemError& error) {
    if (error.error_number() == ENOENT) return std::nullopt;
    throw;
  }
  std::optional<UniqueFd> store = try_open_beneath(root, "store", kOpenDirectory);
  if (!store) return std::nullopt;
  return StoreLayout(path, std::move(root), std::move(*store));
}

std::uint64_t StoreLayout::read_version() const {
  std::optional<std::string> text;
  try {
    text = try_read_file_at(store_, kVersionFile, 4096);
  } catch (const Error& error) {
    throw CorruptError("store/version", "a small regular file", error.message());
  }
  if (!text) throw Error(ErrorCode::NotFound, fmt::format("{} has no version file", root_path_));
  return parse_version(*text);
}

void StoreLayout::write_version() const {
  OrderedJson version;
  version["format_version"] = kFormatVersion;
  replace_file(store_, kVersionFile, pretty_json(version));
}

void StoreLayout::ensure_directories() const {
  close_to_others(root_);
  for (const char* name : kTopDirectories) ensure_directory_at(root_, name, 0700);
  for (const char* name : kStoreDirectories) ensure_directory_at(store_, name, 0700);
  sync_directory(store_);
  sync_directory(root_);
}

UniqueFd StoreLayout::objects() const { return open_directory(store_, "objects"); }
UniqueFd StoreLayout::layers() const { return open_directory(store_, "layers"); }
UniqueFd StoreLayout::metadata() const { return open_directory(store_, "metadata"); }
UniqueFd StoreLayout::staging() const { return open_directory(store_, "staging"); }
UniqueFd StoreLayout::trees() const { return open_directory(root_, "trees"); }
UniqueFd StoreLayout::environments() const { return open_directory(root_, "env"); }
UniqueFd StoreLayout::open_dir(const std::string& relative) const { return open_directory(root_, relative); }

FileLock StoreLayout::lock_shared(const std::function<void()>& on_wait) const {
  return with_context([&] { return "locking the store " + root_path_; },
                      [&] { return FileLock::acquire(open_shared_lock(store_), LockMode::Shared, on_wait); });
}

FileLock StoreLayout::lock_exclusive(const std::function<void()>& on_wait) const {
  return with_context([&] { return "locking the store " + root_path_; },
                      [&] { return FileLock::acquire(open_lock(store_), LockMode::Exclusive, on_wait); });
}

std::optional<FileLock> StoreLayout::try_lock_exclusive() const {
  return FileLock::try_acquire(open_lock(store_), LockMode::Exclusive);
}

FileLock StoreLayout::lock_environment(const std::string& env_id,
                                       const std::function<void()>& on_wait) const {
  return lock_environment_as(env_id, LockMode::Exclusive, on_wait);
}

FileLock StoreLayout::lock_environment_shared(const std::string& env_id,
                                              const std::function<void()>& on_wait) const {
  return lock_environment_as(env_id, LockMode::Shared, on_wait);
}

FileLock StoreLayout::lock_environment_as(const std::string& env_id, LockMode mode,
                                          const std::function<void()>& on_wait) const {
  check_env_id(env_id);
  const UniqueFd environments = this->environments();
  for (int round = 0; round < kLockRounds; ++round) {
    std::optional<UniqueFd> dir = try_open_beneath(environments, env_id, kOpenDirectory);
    if (!dir) {
      ensure_directory_at(environments, env_id, 0700);
      dir = try_open_beneath(environments, env_id, kOpenDirectory);
    }
    if (!dir) continue;
    FileLock lock = with_context([&] { return "locking env/" + env_id; },
                                 [&] {
                                   return FileLock::acquire(
                                       mode == LockMode::Shared ? open_shared_lock(*dir) : open_lock(*dir),
                                       mode, on_wait);
                                 });
    // Who held it may have removed the environment: then this is the lock of nothing.
    if (still_named(environments, env_id + "/" + kLockFile, lock.fd())) return lock;
  }
  throw Error(ErrorCode::Busy,
              fmt::format("environment {} keeps being removed and made anew", env_id.substr(0, 12)));
}

std::optional<FileLock> StoreLayout::try_lock_environment(const std::string& env_id) const {
  check_env_id(env_id);
  const UniqueFd environments = this->environments();
  for (int round = 0; round < kLockRounds; ++round) {
    ensure_directory_at(environments, env_id, 0700);
    const std::optional<UniqueFd> dir = try_open_beneath(environments, env_id, kOpenDirectory);
    if (!dir) continue;
    std::optional<FileLock> lock = FileLock::try_acquire(open_lock(*dir), LockMode::Exclusive);
    if (!lock || still_named(environments, env_id + "/" + kLockFile, lock->fd())) return lock;
  }
  return std::nullopt;
}

}  // namespace karapace::store
