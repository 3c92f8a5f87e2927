// SPDX-License-Identifier: Apache-2.0
#include "lost_check.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "karapace/store/snapshot_log.hpp"
#include "pending_work.hpp"

namespace karapace::store {
namespace {

constexpr int kReadDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

/// What says that there is, or was, an environment.
struct Traces {
  bool has_directory = false;
  bool has_snapshots = false;
  std::vector<std::string> names;
};

class LostRecords {
 public:
  LostRecords(const StoreLayout& layout, const std::map<std::string, std::string>& owners)
      : layout_(layout),
        owners_(owners),
        pending_(layout),
        environments_(layout.environments()),
        metadata_(layout.metadata()),
        names_(layout.open_dir("store/names")) {}

  void run(const AddFault& add) {
    find_directories();
    for (const std::string& env_id : SnapshotLog(layout_).environments())
      traces_[env_id].has_snapshots = true;
    find_names();
    for (const auto& [env_id, traces] : traces_) {
      if (is_lost(env_id, traces)) tell(env_id, traces, add);
    }
  }

 private:
  /// One with nothing but a lock in it is left by whoever looked for an environment that is not there.
  void find_directories() {
    for (const DirectoryEntry& entry : list_directory(environments_)) {
      if (Digest::is_valid(entry.name) && has_directory(entry.name)) traces_[entry.name].has_directory = true;
    }
  }

  [[nodiscard]] bool has_directory(const std::string& env_id) const {
    try {
      const auto directory = try_open_beneath(environments_, env_id, O_PATH | O_DIRECTORY | O_NOFOLLOW);
      return directory &&
             std::ranges::any_of(std::vector<std::string>{"upper", "home", "work", "run"},
                                 [&](const std::string& name) { return exists_at(*directory, name); });
    } catch (const Error& error) {
      if (is_shortage(error)) throw;
      return false;  // a link, a file: a fault of its own
    }
  }

  void find_names() {
    for (const DirectoryEntry& entry : list_directory(names_)) {
      if (entry.name.starts_with('.') || owners_.contains(entry.name)) continue;
      if (const std::string env_id = target_of(entry.name); Digest::is_valid(env_id))
        traces_[env_id].names.push_back(entry.name);
    }
  }

  [[nodiscard]] std::string target_of(const std::string& name) const {
    try {
      return try_read_file_at(names_, name, 2 * Digest::kSize).value_or("");
    } catch (const Error& error) {
      if (is_shortage(error)) throw;
      return {};  // a fault of its own
    }
  }

  /// In this order: an operation says in the log what it is about before it begins and until it has ended.
  [[nodiscard]] bool is_lost(const std::string& env_id, const Traces& traces) const {
    for (int look = 0; look < 2; ++look) {
      if (exists_at(metadata_, env_id) || pending_.concerns(env_id)) return false;
    }
    return (traces.has_directory && has_directory(env_id)) ||
           (traces.has_snapshots && exists_at(layout_.store(), "snapshots/" + env_id)) ||
           std::ranges::any_of(traces.names,
                               [&](const std::string& name) { return target_of(name) == env_id; });
  }

  void tell(const std::string& env_id, const Traces& traces, const AddFault& add) const {
    if (!traces.has_directory && !traces.has_snapshots) {
      // Perhaps nothing was lost but the end of a destroy; an environment that was never built has only this.
      for (const std::string& name : traces.names)
        add(make_fault("name", printable(name),
                       fmt::format("it leads to environment {}, which is not there", env_id), {},
                       "karapace gc removes it"));
      return;
    }
    const std::vector<std::string> found = find_user_files(layout_, env_id);
    IntegrityFault fault = make_fault("metadata", env_id, "its record is missing", {env_id});
    if (!traces.names.empty())
      fault.reason +=
          fmt::format("; its name is '{}'", printable(fmt::format("{}", fmt::join(traces.names, "', '"))));
    if (found.empty()) {
      fault.reason += "; there is nothing in it that a user wrote";
      fault.fix = "karapace gc removes what is left of it";
    } else {
      fault.reason += fmt::format("; there is {} in it", fmt::join(found, " and "));
      fault.fix = fmt::format(
          "bring store/metadata/{} back from a backup; or build its manifest, which keeps what is in upper "
          "as a "
          "snapshot; karapace gc --discard-lost removes it",
          env_id);
    }
    add_snapshots(env_id, fault);
    add(std::move(fault));
  }

  void add_snapshots(const std::string& env_id, IntegrityFault& fault) const {
    try {
      for (const SnapshotRecord& snapshot : SnapshotLog(layout_).read(env_id).snapshots)
        fault.snapshots.push_back(snapshot.id);
    } catch (const Error& error) {
      if (is_shortage(error)) throw;  // else a fault of its own
    }
  }

  const StoreLayout& layout_;
  const std::map<std::string, std::string>& owners_;
  const PendingWork pending_;
  UniqueFd environments_, metadata_, names_;
  std::map<std::string, Traces> traces_;
};

}  // namespace

std::vector<std::string> find_user_files(const StoreLayout& layout, const std::string& env_id) {
  const UniqueFd environments = layout.environments();
  const auto has_files = [&](const char* name) {
    try {
      const auto dir = try_open_beneath(environments, env_id + "/" + name, kReadDirectory);
      return dir && !list_directory(*dir).empty();
    } catch (const SystemError&) {
      return true;  // closed to us, or no directory: who knows
    }
  };
  std::vector<std::string> found;
  for (const char* name : {"upper", "home"}) {
    if (has_files(name)) found.emplace_back(name);
  }
  const auto snapshots = stat_at(layout.store(), "snapshots/" + env_id);
  if (snapshots && snapshots->st_size > 0) found.emplace_back("a snapshot");
  return found;
}

void check_lost_records(const StoreLayout& layout, const std::map<std::string, std::string>& owners,
                        const AddFault& add) {
  LostRecords(layout, owners).run(add);
}

void check_upper(const StoreLayout& layout, const EnvRecord& record, const AddFault& add) {
  if (record.state != EnvState::Built && record.state != EnvState::Frozen) return;
  const UniqueFd environments = layout.environments();
  try {
    if (exists_at(environments, record.env_id + "/upper")) return;
    // It may have been destroyed since its record was read.
    const std::optional<EnvRecord> now = MetadataStore(layout).find(record.env_id);
    if (!now || now->state != record.state || exists_at(environments, record.env_id + "/upper")) return;
  } catch (const Error& error) {
    if (is_shortage(error)) throw;
    return;  // a fault of its own
  }
  add(make_fault("environment", record.env_id,
                 "its directory upper is missing, and what was in it and not committed", {record.env_id},
                 "bring it back from a backup; without one karapace enter begins with an empty directory"));
}

}  // namespace karapace::store
