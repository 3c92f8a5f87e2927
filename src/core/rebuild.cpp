// SPDX-License-Identifier: Apache-2.0
// rebuild: the new environment is complete before anything of the old one is touched.

#include <fmt/format.h>

#include "build.hpp"
#include "karapace/base/durable.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/core/engine.hpp"

namespace karapace::core {
namespace {

/// The environment this manifest had before: the one its lock names, if it was built from this very manifest.
std::optional<EnvironmentView> previous(const store::StoreLayout& layout, const BuildInputs& inputs) {
  if (!inputs.old_lock) return std::nullopt;
  auto record = store::MetadataStore(layout).find(inputs.old_lock->env_id);
  if (!record || record->manifest_path != inputs.manifest_path) return std::nullopt;
  return make_view(layout, std::move(*record));
}

/// The private home goes on with its owner. Only onto a home that nobody has used yet.
void carry_home(const store::StoreLayout& layout, const std::string& from, const std::string& to) {
  const UniqueFd old_environment = open_directory(layout.root(), "env/" + from);
  const UniqueFd new_environment = open_directory(layout.root(), "env/" + to);
  const auto old_home = try_open_beneath(old_environment, "home", O_RDONLY | O_DIRECTORY);
  if (!old_home || list_directory(*old_home).empty()) return;
  const auto new_home = try_open_beneath(new_environment, "home", O_RDONLY | O_DIRECTORY);
  if (new_home && !list_directory(*new_home).empty()) return;
  if (new_home) remove_directory_at(new_environment, "home");
  rename_at(old_environment, "home", new_environment, "home", Replace::No);
  sync_directory(old_environment);
  sync_directory(new_environment);
}

}  // namespace

BuildResult Engine::rebuild(const std::string& manifest_path, const BuildOptions& options) {
  const store::StoreLayout* layout = impl_->layout ? &*impl_->layout : nullptr;
  BuildInputs inputs = read_build_inputs(manifest_path, options, impl_->root, layout);
  std::optional<EnvironmentView> old;
  if (layout != nullptr) old = previous(*layout, inputs);
  if (old) require_not_running(*old, "rebuild");

  if (old && !options.name && old->record.name) {
    inputs.name = old->record.name;
    inputs.name_is_default = false;
  }
  BuildResult result = Build(*impl_, options, std::move(inputs)).run();
  if (old && old->record.env_id != result.env_id) {
    carry_home(*impl_->layout, old->record.env_id, result.env_id);
    destroy(*old);
  }
  return result;
}

}  // namespace karapace::core
