// SPDX-License-Identifier: Apache-2.0
// freeze and thaw: one word of the record, changed while no session is open and none can begin. What a frozen
// environment means is for runtime::plan_environment: its upper directory becomes a lower one.

#include <fmt/format.h>

#include "impl.hpp"
#include "karapace/base/clock.hpp"
#include "karapace/core/engine.hpp"

namespace karapace::core {
namespace {

[[noreturn]] void refuse(const EnvironmentView& environment, std::string_view verb) {
  const store::EnvRecord& record = environment.record;
  const std::string fix = environment.state == store::EnvState::Defined
                              ? fmt::format("karapace build {}", record.manifest_path)
                              : fmt::format("karapace unarchive {}", record.short_id);
  throw Error(
      ErrorCode::Conflict,
      fmt::format("cannot {} {}: it is {}", verb, record.short_id, to_lower_string(environment.state)), fix);
}

FileLock lock_out(const store::StoreLayout& layout, const store::EnvRecord& record, std::string_view verb) {
  auto lock = runtime::lock_out_sessions(layout, record.env_id);
  if (lock) return std::move(*lock);
  throw Error(ErrorCode::Conflict,
              fmt::format("cannot {} {}: a session is open in it", verb, record.short_id),
              fmt::format("karapace stop {}", record.short_id));
}

StateChange change_state(Engine::Impl& engine, const EnvironmentView& environment, std::string_view verb,
                         store::EnvState from, store::EnvState to) {
  const std::string env_id = environment.record.env_id;
  const store::StoreLayout& layout = engine.open();
  const auto shared = layout.lock_shared([&] { engine.wait_note("a store-wide operation"); });
  const auto lock = layout.lock_environment(env_id, [&] {
    engine.wait_note(fmt::format("another command that is changing {}", environment.record.short_id));
  });
  EnvironmentView current = reload(layout, env_id);
  // Asked for again, by somebody who does not know how it ended the first time.
  if (current.record.state == to) return {std::move(current), false};
  require_not_running(current, verb);
  if (current.record.state != from) refuse(current, verb);
  const FileLock sessions = lock_out(layout, current.record, verb);
  current.record.state = current.state = to;
  current.record.updated_at = format_rfc3339(now());
  store::MetadataStore(layout).put(current.record);
  return {std::move(current), true};
}

}  // namespace

StateChange Engine::freeze(const EnvironmentView& environment) {
  return change_state(*impl_, environment, "freeze", store::EnvState::Built, store::EnvState::Frozen);
}

StateChange Engine::thaw(const EnvironmentView& environment) {
  return change_state(*impl_, environment, "thaw", store::EnvState::Frozen, store::EnvState::Built);
}

}  // namespace karapace::core
