// SPDX-License-Identifier: Apache-2.0
// Where things are in a store, and the only way to open one.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "karapace/base/error.hpp"
#include "karapace/base/file_lock.hpp"
#include "karapace/base/unique_fd.hpp"

namespace karapace::store {

inline constexpr std::uint32_t kFormatVersion = 2;
/// 2025-01-01T00:00:00Z: the mtime of every file in a bootstrapped base or dependency layer, and
/// SOURCE_DATE_EPOCH of builds.
inline constexpr std::int64_t kSourceDateEpoch = 1735689600;

/// The store was written in another format version: nothing in it was touched.
class FormatError : public Error {
 public:
  FormatError(std::uint64_t found, std::string message, std::string fix)
      : Error(ErrorCode::Unsupported, std::move(message), std::move(fix)), found_(found) {}
  [[nodiscard]] std::uint64_t found() const noexcept { return found_; }

 private:
  std::uint64_t found_;
};

/// --store, else $KARAPACE_STORE, else $XDG_DATA_HOME/karapace, else ~/.local/share/karapace. Absolute.
[[nodiscard]] std::string default_store_path();

/// Throws InvalidInput unless `env_id` is 64 lower-case hex digits. Whatever comes from outside passes here
/// before it is a name.
void check_env_id(std::string_view env_id);

/// An open store. Holds directory descriptors; everything below is reached through them, never by path.
class StoreLayout {
 public:
  /// Opens, creating what is missing (0700). Checks the format version: newer is Unsupported, older asks for
  /// `migrate`.
  [[nodiscard]] static StoreLayout open_or_create(const std::string& root);
  /// Opens for reading only: creates nothing, works on a read-only file system. Nothing if there is no store.
  [[nodiscard]] static std::optional<StoreLayout> open_existing(const std::string& root);

  /// For `migrate`: whatever the version is. Nothing if there is no store.
  [[nodiscard]] static std::optional<StoreLayout> open_any_version(const std::string& root);
  /// NotFound without a version file, CorruptError if it is none.
  [[nodiscard]] std::uint64_t read_version() const;
  /// Durably writes the version of this program: from here on the store is of its format.
  void write_version() const;
  /// Makes what is missing of the directories.
  void ensure_directories() const;

  /// Throws Unsupported if a part of it is mounted from elsewhere: files are moved between its directories.
  void require_one_file_system() const;

  /// Of every store, relative to the root; what lies in another one comes after it.
  [[nodiscard]] static const std::vector<std::string>& directories();

  [[nodiscard]] const std::string& root_path() const noexcept { return root_path_; }
  [[nodiscard]] FdRef root() const noexcept { return root_; }
  [[nodiscard]] FdRef store() const noexcept { return store_; }
  [[nodiscard]] UniqueFd objects() const;       // store/objects
  [[nodiscard]] UniqueFd layers() const;        // store/layers
  [[nodiscard]] UniqueFd metadata() const;      // store/metadata
  [[nodiscard]] UniqueFd staging() const;       // store/staging
  [[nodiscard]] UniqueFd trees() const;         // trees
  [[nodiscard]] UniqueFd environments() const;  // env
  [[nodiscard]] UniqueFd open_dir(const std::string& relative) const;

  /// store/.lock: shared for those that add, exclusive for gc and migrate. Waits; tells `on_wait` for whom.
  [[nodiscard]] FileLock lock_shared(const std::function<void()>& on_wait = {}) const;
  [[nodiscard]] FileLock lock_exclusive(const std::function<void()>& on_wait = {}) const;
  [[nodiscard]] std::optional<FileLock> try_lock_exclusive() const;
  /// env/<id>/.lock, exclusive: whoever changes the environment. Creates env/<id> (0700) if missing.
  [[nodiscard]] FileLock lock_environment(const std::string& env_id,
                                          const std::function<void()>& on_wait = {}) const;
  /// Same, shared: whoever reads for long what must not change meanwhile. Works on a read-only file system.
  [[nodiscard]] FileLock lock_environment_shared(const std::string& env_id,
                                                 const std::function<void()>& on_wait = {}) const;
  /// As lock_environment, but nothing if somebody else holds it.
  [[nodiscard]] std::optional<FileLock> try_lock_environment(const std::string& env_id) const;

 private:
  [[nodiscard]] FileLock lock_environment_as(const std::string& env_id, LockMode mode,
                                             const std::function<void()>& on_wait) const;
  StoreLayout(std::string root_path, UniqueFd root, UniqueFd store);
  /// Nothing unless there are directories where a store has them.
  [[nodiscard]] static std::optional<StoreLayout> find(const std::string& path);
  std::string root_path_;
  UniqueFd root_;
  UniqueFd store_;
};

}  // namespace karapace::store
