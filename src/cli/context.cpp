// SPDX-License-Identifier: Apache-2.0
#include "context.hpp"

#include <fmt/format.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <utility>

#include "karapace/base/cancel.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/log.hpp"
#include "karapace/base/text.hpp"
#include "karapace/store/layout.hpp"
#include "terminal.hpp"

namespace karapace::cli {

namespace {

constexpr std::array<std::pair<std::string_view, log::Level>, 5> kLevels = {{{"error", log::Level::Error},
                                                                             {"warn", log::Level::Warn},
                                                                             {"info", log::Level::Info},
                                                                             {"debug", log::Level::Debug},
                                                                             {"trace", log::Level::Trace}}};

log::Level parse_level(std::string_view text) {
  for (const auto& [name, level] : kLevels) {
    if (name == text) return level;
  }
  throw UsageError(nullptr, fmt::format("KARAPACE_LOG: no such level '{}'", printable(text)),
                   "use error, warn, info, debug or trace");
}

/// "info", or a list such as "karapace_store=debug,warn": the most talkative level in it counts for
/// everything.
log::Level parse_filter(std::string_view filter) {
  log::Level result = log::Level::Error;
  while (!filter.empty()) {
    const std::size_t comma = filter.find(',');
    std::string_view entry = filter.substr(0, comma);
    if (const std::size_t equals = entry.find('='); equals != entry.npos) entry.remove_prefix(equals + 1);
    result = std::min(result, parse_level(entry));
    filter.remove_prefix(comma == filter.npos ? filter.size() : comma + 1);
  }
  return result;
}

std::string_view state_colour(store::EnvState state) noexcept {
  switch (state) {
    case store::EnvState::Defined:
      return "33";
    case store::EnvState::Built:
      return "32";
    case store::EnvState::Running:
      return "1;36";
    case store::EnvState::Frozen:
      return "34";
    case store::EnvState::Archived:
      return "2";
  }
  return "0";
}

}  // namespace

std::string store_path(const Invocation& invocation) {
  const std::optional<std::string> given = invocation.value("store");
  if (!given) return store::default_store_path();
  if (given->empty()) throw UsageError(invocation.command, "--store is empty");
  std::string path = *given;
  const char* home = std::getenv("HOME");
  if (path.starts_with("~/") && home != nullptr) path = home + path.substr(1);
  return absolute_path(path);
}

bool is_store_named(const Invocation& invocation) {
  const char* store = std::getenv("KARAPACE_STORE");
  return invocation.value("store") || (store != nullptr && *store != '\0');
}

void apply_log_level(const Invocation& invocation) {
  const char* filter = std::getenv("KARAPACE_LOG");
  if (filter != nullptr && *filter != '\0') {
    log::set_level(parse_filter(filter));
  } else if (invocation.has("trace")) {
    log::set_level(log::Level::Trace);
  } else if (invocation.has("verbose")) {
    log::set_level(log::Level::Debug);
  }
}

core::Engine open_engine(const Invocation& invocation, core::Access access, ProgressSink& progress) {
  return core::Engine(store_path(invocation), access, progress, CancelToken::process());
}

core::EnvironmentView find_environment(const core::Engine& engine, const Invocation& invocation) {
  return engine.find_environment(invocation.argument(0).value_or(""));
}

std::string display_name(const store::EnvRecord& record) {
  return printable(record.name ? *record.name : record.short_id);
}

Details measure(const core::Engine& engine, const std::string& only) {
  try {
    return engine.details(only);
  } catch (const Error& error) {
    write_stderr(fmt::format("karapace: {}\n", printable(error.message(), 400)));
    return {};
  }
}

OrderedJson record_json(const core::EnvironmentView& environment, const Details& all) {
  const auto found = all.find(environment.record.env_id);
  const core::EnvironmentDetails details = found == all.end() ? core::EnvironmentDetails{} : found->second;
  const std::optional<store::DiskUse>& use = details.use;
  const store::EnvRecord& record = environment.record;
  OrderedJson json;
  json["env_id"] = record.env_id;
  json["short_id"] = record.short_id;
  json["name"] = record.name ? OrderedJson(*record.name) : OrderedJson(nullptr);
  json["state"] = store::to_string(environment.state);
  json["manifest_hash"] = record.manifest_hash;
  json["base_layer"] = record.base_layer;
  json["dependency_layers"] = record.dependency_layers;
  json["policy_layer"] = record.policy_layer ? OrderedJson(*record.policy_layer) : OrderedJson(nullptr);
  json["created_at"] = record.created_at;
  json["updated_at"] = record.updated_at;
  json["ref_count"] = record.ref_count;
  json["ownership"] = record.ownership;
  json["lock_hash"] = record.lock_hash;
  json["manifest_path"] = printable(record.manifest_path, 4096);
  json["snapshot_layers"] = record.snapshot_layers;
  json["head"] = record.head ? OrderedJson(*record.head) : OrderedJson(nullptr);
  json["holder_pid"] =
      environment.holder_pid > 0 ? OrderedJson(environment.holder_pid) : OrderedJson(nullptr);
  json["follows_lock"] = details.follows_lock ? OrderedJson(*details.follows_lock) : OrderedJson(nullptr);
  json["exclusive_bytes"] = use ? OrderedJson(use->exclusive) : OrderedJson(nullptr);
  json["shared_bytes"] = use ? OrderedJson(use->shared) : OrderedJson(nullptr);
  return json;
}

std::string coloured_state(store::EnvState state, bool colour) {
  return coloured(store::to_lower_string(state), state_colour(state), colour);
}

}  // namespace karapace::cli
