// SPDX-License-Identifier: Apache-2.0
// What most commands begin with: which store, an engine on it, and the environment that is meant.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "command_line.hpp"
#include "karapace/base/json.hpp"
#include "karapace/base/progress.hpp"
#include "karapace/core/engine.hpp"

namespace karapace::cli {

/// --store (a leading "~/" is $HOME), else what the store module says. Absolute.
[[nodiscard]] std::string store_path(const Invocation& invocation);
/// False: it is the one that is used when nobody says which.
[[nodiscard]] bool is_store_named(const Invocation& invocation);
/// KARAPACE_LOG, else --trace, else -v. Throws UsageError for a level that does not exist.
void apply_log_level(const Invocation& invocation);

[[nodiscard]] core::Engine open_engine(const Invocation& invocation, core::Access access,
                                       ProgressSink& progress);

/// The environment of the first argument, or of the manifest in the current directory.
[[nodiscard]] core::EnvironmentView find_environment(const core::Engine& engine,
                                                     const Invocation& invocation);

/// Name for people: the name, else the short id. Safe for a terminal.
[[nodiscard]] std::string display_name(const store::EnvRecord& record);
using Details = std::map<std::string, core::EnvironmentDetails>;
/// By id; `only` may be empty. A store that cannot be measured is told on standard error and is no failure.
[[nodiscard]] Details measure(const core::Engine& engine, const std::string& only);
/// The record as `list` and `inspect` show it: documented keys in documented order, ours after them.
[[nodiscard]] OrderedJson record_json(const core::EnvironmentView& environment, const Details& all);
/// The state in lower case and in its colour.
[[nodiscard]] std::string coloured_state(store::EnvState state, bool colour);

}  // namespace karapace::cli
