// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "commands/commands.hpp"
#include "context.hpp"
#include "output.hpp"
#include "terminal.hpp"

namespace karapace::cli {

namespace {

constexpr std::size_t kShortIdColumns = 14;
constexpr std::size_t kNameColumns = 16;
constexpr std::size_t kStateColumns = 10;

std::string table(const std::vector<core::EnvironmentView>& environments, bool colour) {
  std::size_t name_columns = kNameColumns;
  for (const core::EnvironmentView& environment : environments) {
    name_columns = std::max(name_columns, environment.record.name.value_or("").size() + 2);
  }
  std::string text = fmt::format("{}{}{}ENV_ID\n", padded("SHORT_ID", kShortIdColumns),
                                 padded("NAME", name_columns), padded("STATE", kStateColumns));
  for (const core::EnvironmentView& environment : environments) {
    const store::EnvRecord& record = environment.record;
    // Escape codes take no columns: pad by the plain word.
    const std::size_t state_width = store::to_lower_string(environment.state).size();
    text += fmt::format("{}{}{}{}{}\n", padded(printable(record.short_id), kShortIdColumns),
                        padded(record.name ? printable(*record.name) : "", name_columns),
                        coloured_state(environment.state, colour),
                        std::string(kStateColumns > state_width ? kStateColumns - state_width : 1, ' '),
                        printable(record.env_id));
  }
  return text;
}

}  // namespace

int run_list(const Invocation& invocation) {
  const core::Engine engine = open_engine(invocation, core::Access::Read, no_progress());
  const core::EnvironmentList list = engine.list();
  for (const store::BadRecord& bad : list.bad) {
    write_stderr(
        fmt::format("karapace: unreadable record {}: {}\n", printable(bad.file), printable(bad.reason, 400)));
  }
  if (invocation.json()) {
    OrderedJson array = OrderedJson::array();
    const Details details = measure(engine, {});
    for (const core::EnvironmentView& environment : list.environments)
      array.push_back(record_json(environment, details));
    print_json(array);
  } else if (list.environments.empty()) {
    write_stdout("no environments; 'karapace new' and 'karapace build' make one\n");
  } else {
    write_stdout(table(list.environments, wants_colour(Stream::Out)));
  }
  return 0;
}

/// For completion scripts: what can be typed as <env>, and never an error message between the user's keys.
int run_complete_envs(const Invocation& invocation) {
  const std::optional<store::StoreLayout> layout = store::StoreLayout::open_existing(store_path(invocation));
  if (!layout) return 0;
  std::string words;
  for (const store::EnvRecord& record : store::MetadataStore(*layout).list().records) {
    words += fmt::format("{}\n", display_name(record));
  }
  write_stdout(words);
  return 0;
}

}  // namespace karapace::cli
