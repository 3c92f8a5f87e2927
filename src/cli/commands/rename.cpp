// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <string>

#include "commands/commands.hpp"
#include "context.hpp"
#include "output.hpp"
#include "progress_renderer.hpp"

namespace karapace::cli {

int run_rename(const Invocation& invocation) {
  const std::string new_name = invocation.argument(1).value();
  store::check_env_name(new_name);  // before a store is opened: a bad name is never a question of the store
  ProgressRenderer progress(progress_style(invocation.json()), false);
  core::Engine engine = open_engine(invocation, core::Access::Write, progress);
  const core::EnvironmentView before = find_environment(engine, invocation);
  const core::EnvironmentView after = engine.rename(before, new_name);
  if (invocation.json()) {
    print_json({{"env_id", after.record.env_id},
                {"name", after.record.name ? OrderedJson(*after.record.name) : OrderedJson(nullptr)},
                {"old_name", before.record.name ? OrderedJson(*before.record.name) : OrderedJson(nullptr)},
                {"short_id", after.record.short_id},
                {"status", "renamed"}});
  } else {
    write_stdout(fmt::format("{} → '{}'\n", after.record.short_id, printable(new_name)));
  }
  return 0;
}

}  // namespace karapace::cli
