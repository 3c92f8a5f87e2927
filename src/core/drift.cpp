// SPDX-License-Identifier: Apache-2.0
// diff: what was written since the environment was built, committed or restored.
#include <fmt/format.h>

#include <algorithm>

#include "impl.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/core/engine.hpp"
#include "karapace/runtime/worker.hpp"

namespace karapace::core {

std::vector<store::TreeChange> Engine::diff(const EnvironmentView& environment) const {
  const store::StoreLayout& layout = impl_->open();
  // The upper directory of one moment and the layers of another would tell what nobody changed.
  const auto shared = layout.lock_shared([&] { impl_->wait_note("a store-wide operation"); });
  const auto lock = layout.lock_environment_shared(
      environment.record.env_id, [&] { impl_->wait_note("a command that is changing it"); });
  const store::EnvRecord record = reload(layout, environment.record.env_id).record;
  if (record.state == store::EnvState::Defined) return {};
  if (record.state == store::EnvState::Archived) {
    throw Error(ErrorCode::Conflict,
                fmt::format("{} is archived: it has nothing but snapshots", record.short_id),
                fmt::format("karapace unarchive {}", record.short_id));
  }
  std::vector<std::string> below;
  const std::vector<std::string> stack = store::layer_stack(record);
  for (auto layer = stack.rbegin(); layer != stack.rend(); ++layer) {
    if (std::ranges::find(below, *layer) == below.end()) below.push_back(*layer);
  }
  const UniqueFd trees = layout.trees();
  for (const std::string& layer : below) {
    if (exists_at(trees, layer)) continue;
    throw Error(ErrorCode::NotFound,
                fmt::format("the files of layer {} are not laid out", layer.substr(0, 12)),
                "enter the environment once: that lays them out again");
  }
  if (!exists_at(layout.environments(), record.env_id + "/upper") || is_upper_clean(layout, record))
    return {};
  const Ownership ownership = record.ownership == "mapped" ? Ownership::Mapped : Ownership::Flat;
  return without_obstacles(
      [&] { return runtime::TreeWorker(layout, ownership).diff(record.env_id, below, impl_->cancel); });
}

}  // namespace karapace::core
