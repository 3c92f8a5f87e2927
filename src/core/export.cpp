// SPDX-License-Identifier: Apache-2.0
// export: what an environment or a snapshot shows, as a directory or as an archive.
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>

#include "impl.hpp"
#include "karapace/base/clock.hpp"
#include "karapace/base/durable.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/core/engine.hpp"
#include "karapace/runtime/worker.hpp"
#include "karapace/store/layer.hpp"
#include "new_file.hpp"

namespace karapace::core {
namespace {

/// Not an environment: perhaps a snapshot of any of them.
std::optional<store::SnapshotRecord> find_any_snapshot(const store::StoreLayout& layout,
                                                       std::string_view reference) {
  std::optional<store::SnapshotRecord> found;
  const store::SnapshotLog log(layout);
  for (const std::string& env_id : log.environments()) {
    const std::optional<store::EnvRecord> record = store::MetadataStore(layout).find(env_id);
    if (!record) continue;
    try {
      store::SnapshotRecord snapshot = find_snapshot(layout, *record, reference);
      if (found && found->id != snapshot.id) {
        throw Error(ErrorCode::InvalidInput,
                    fmt::format("'{}' is the beginning of several snapshots", reference), "give more digits");
      }
      found = std::move(snapshot);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::NotFound) throw;
    }
  }
  return found;
}

runtime::ExportRequest request_for(const store::StoreLayout& layout, const std::vector<std::string>& stack) {
  runtime::ExportRequest request;
  const store::LayerStore layers(layout);
  for (const std::string& layer : stack) {
    const store::LayerRecord record = layers.load(Digest::parse(layer));
    request.layers.emplace_back(record.index_object, record.mtimes_object);
  }
  return request;
}

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

void write_archive(runtime::TreeWorker& worker, runtime::ExportRequest& request, const std::string& path,
                   Engine::Impl& engine) {
  write_new_file(path,
                 [&](FdRef file) { worker.export_tree(request, file, engine.progress, engine.cancel); });
}

/// A new directory gets its name when all is in it. One that is there already is filled as it is; and so is a
/// mapped one, which belongs to others as soon as it has its attributes and may not be renamed by us then.
void write_directory(runtime::TreeWorker& worker, runtime::ExportRequest& request, const std::string& path,
                     bool is_mapped, Engine::Impl& engine) {
  const UniqueFd parent = open_parent(path);
  const auto fill = [&](const std::string& name) {
    const UniqueFd target = open_directory(parent, name);
    if (!list_directory(target).empty())
      throw Error(ErrorCode::AlreadyExists, fmt::format("{} is not empty", path), "Name another directory.");
    worker.export_tree(request, target, engine.progress, engine.cancel);
    sync_filesystem(target);
  };
  const std::string name = name_of(path);
  if (is_mapped || exists_at(parent, name)) {
    ensure_directory_at(parent, name, 0755);
    fill(name);
  } else {
    const std::string temporary = std::string(kTemporaryPrefix) + random_hex(8);
    try {
      make_directory_at(parent, temporary, 0755);
      fill(temporary);
      if (!rename_at(parent, temporary, parent, name, Replace::No))
        throw Error(ErrorCode::AlreadyExists, path + " is there already", "Name another directory.");
    } catch (...) {
      remove_tree_at(parent, temporary);
      throw;
    }
  }
  sync_directory(parent);
}

}  // namespace

ExportResult Engine::export_tree(std::string_view reference, const std::string& output,
                                 const ExportOptions& options) {
  const store::StoreLayout& layout = impl_->open();
  ExportResult result;
  result.path = absolute_path(output);
  if (result.path.ends_with('/')) result.path.pop_back();
  result.is_archive = result.path.ends_with(".tar");
  // gc must not take away what is being read.
  const auto shared = layout.lock_shared([&] { impl_->wait_note("a store-wide operation"); });
  // And nobody may make a layer of an upper directory between the look at the record and the end of reading.
  std::optional<FileLock> lock;
  const auto snapshot = find_any_snapshot(layout, reference);
  runtime::ExportRequest request;
  std::string ownership;
  if (snapshot) {
    request = request_for(layout, options.delta ? std::vector{snapshot->layer} : snapshot->layers);
    result.snapshot = snapshot->id;
    ownership = snapshot->ownership;
  } else {
    const std::string env_id = find_environment(reference).record.env_id;
    lock = layout.lock_environment_shared(env_id, [&] { impl_->wait_note("a command that is changing it"); });
    const EnvironmentView environment = reload(layout, env_id);
    if (options.delta)
      throw Error(ErrorCode::InvalidInput, "--delta is for a snapshot", "karapace commit makes one");
    if (environment.record.state == store::EnvState::Defined)
      throw Error(ErrorCode::Conflict,
                  fmt::format("environment {} is not built yet", environment.record.short_id));
    request = request_for(layout, store::layer_stack(environment.record));
    // An empty upper directory has nothing but a time of its own.
    if (environment.record.state != store::EnvState::Archived && !is_upper_clean(layout, environment.record))
      request.upper_of = environment.record.env_id;
    result.env_id = environment.record.env_id;
    ownership = environment.record.ownership;
  }
  request.delta = options.delta;
  request.archive = result.is_archive;
  if (options.delta && !result.is_archive)
    throw Error(ErrorCode::InvalidInput, "a directory cannot hold deletions",
                "Name a .tar file for --delta.");
  runtime::TreeWorker worker(layout, ownership == "mapped" ? Ownership::Mapped : Ownership::Flat);
  impl_->progress.step("export", result.path);
  if (result.is_archive) {
    write_archive(worker, request, result.path, *impl_);
  } else {
    writing_to(result.path,
               [&] { write_directory(worker, request, result.path, ownership == "mapped", *impl_); });
  }
  return result;
}

}  // namespace karapace::core
